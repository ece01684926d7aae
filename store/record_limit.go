package store

import "github.com/scopegate/scopegate/scopes"

// appendLimits appends a block of limits: of each its API, and its rate and quota as a
// scope file has them. What they mean without a burst must stay what it is.
func appendLimits(b []byte, limits []scopes.Limit) []byte {
	var block []byte
	for i := range limits {
		block = appendString(block, limits[i].API)
		block = appendString(block, limits[i].Rate.String())
		block = appendString(block, limits[i].Quota.String())
	}
	return appendString(b, block)
}

func (d *decoder) limits() []scopes.Limit {
	var limits []scopes.Limit
	for len(d.rest) > 0 {
		l, ok := d.limit()
		if !ok || len(limits) > 0 && limits[len(limits)-1].API >= l.API {
			d.fail()
			return nil
		}
		limits = append(limits, l)
	}
	return limits
}

// limit reads one limit; ok is false for one that bounds nothing or cannot be read.
func (d *decoder) limit() (l scopes.Limit, ok bool) {
	l.API = d.string()
	rate, quota := d.string(), d.string()
	var err error
	if rate != "" {
		if l.Rate, err = scopes.ParseRate(rate); err != nil {
			return l, false
		}
	}
	if quota != "" {
		if l.Quota, err = scopes.ParseQuota(quota); err != nil {
			return l, false
		}
	}
	return l, !d.bad && rate+quota != ""
}

// appendKeep appends what of a token is kept.
func appendKeep(b []byte, k *scopes.Keep) []byte {
	var all byte
	if k.All {
		all = 1
	}
	return appendScopes(append(b, all), k.Scopes)
}

func (d *decoder) keep() scopes.Keep { return scopes.Keep{All: d.byte() != 0, Scopes: d.scopesBlock()} }
