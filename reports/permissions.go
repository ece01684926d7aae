package reports

import (
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/usage"
)

// permissions are what is granted, or was used, by API, version and operation.
type permissions map[scopes.Permission]scopes.Methods

func permissionsOf(catalog *scopes.Catalog, t *scopes.Token) permissions {
	return gather(catalog.Permissions(t))
}

func gather(list []scopes.Permission) permissions {
	p := make(permissions, len(list))
	p.add(list...)
	return p
}

func (p permissions) add(list ...scopes.Permission) {
	for _, one := range list {
		methods := one.Methods.WithHead()
		one.Methods = 0
		p[one] |= methods
	}
}

// and returns what both have.
func (p permissions) and(other permissions) permissions {
	both := make(permissions)
	for at, methods := range p {
		if m := methods & other[at]; m.Count() > 0 {
			both[at] = m
		}
	}
	return both
}

// count returns how many operations there are, each method by itself.
func (p permissions) count() (n int) {
	for _, methods := range p {
		n += methods.Count()
	}
	return n
}

// of returns what there is of an API.
func (p permissions) of(api string) permissions {
	part := make(permissions)
	for at, methods := range p {
		if at.API == api {
			part[at] = methods
		}
	}
	return part
}

func (p permissions) equal(other permissions) bool {
	if len(p) != len(other) {
		return false
	}
	for at, methods := range p {
		if other[at] != methods {
			return false
		}
	}
	return true
}

func (p permissions) list() []scopes.Permission {
	list := make([]scopes.Permission, 0, len(p))
	for at, methods := range p {
		at.Methods = methods
		list = append(list, at)
	}
	return list
}

// verdict returns Allowed if what a key is about is granted, or how far it comes.
func (p permissions) verdict(k *usage.Key) scopes.Reason {
	method := scopes.MethodOf(k.Method)
	if p[scopes.Permission{API: k.API, Version: k.Version, Operation: k.Operation}].Has(method) {
		return scopes.Allowed
	}
	reason := scopes.APINotGranted
	for at, methods := range p {
		switch {
		case at.API != k.API:
		case at.Version != k.Version:
			reason = max(reason, scopes.VersionNotGranted)
		case !methods.Has(method):
			reason = max(reason, scopes.MethodNotGranted)
		default:
			reason = max(reason, scopes.OperationNotGranted)
		}
	}
	return reason
}
