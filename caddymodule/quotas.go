package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/scopegate/scopegate/limits"
	"github.com/scopegate/scopegate/scopes"
)

// quotasSuffix is what the name of the file with the counts of quotas has behind that of the
// store.
const quotasSuffix = ".quotas"

// How often the counts are saved: a crash forgets what came since.
const (
	quotasInterval = 10 * time.Second
	// quotasShare is the part of the time that it may take: with very many it comes later.
	quotasShare = 20
)

// savedQuota is a line of the file.
type savedQuota struct {
	Token string        `json:"token"`
	API   string        `json:"api,omitempty"`
	Per   scopes.Period `json:"per"`
	Start int64         `json:"start"` // of the window, in Unix seconds
	Count int64         `json:"count"`
}

// keepQuotas saves the counts from time to time, until ctx ends.
func (p *pooled) keepQuotas(ctx context.Context) {
	told := ""
	for rest := quotasInterval; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
		begun := time.Now()
		err := p.saveQuotas()
		if err != nil && told != err.Error() {
			p.logger.Error("the counts of quotas cannot be saved; after a restart they begin anew", "error", err)
			told = err.Error()
		} else if err == nil {
			told = ""
		}
		rest = max(quotasInterval, quotasShare*time.Since(begun))
	}
}

// saveQuotas writes the counts to their file, if there are any.
func (p *pooled) saveQuotas() error {
	path, counts := p.path+quotasSuffix, p.limiter.Quotas()
	if len(counts) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("scopegate: removing the counts of quotas: %w", err)
		}
		return nil
	}
	saved := make([]savedQuota, len(counts))
	for i, c := range counts {
		saved[i] = savedQuota{c.Token, c.API, c.Per, c.Start.Unix(), c.Count}
	}
	data, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("scopegate: writing the counts of quotas: %w", err)
	}
	const mode = 0o600
	if err := os.WriteFile(path+".new", data, mode); err != nil {
		return fmt.Errorf("scopegate: writing the counts of quotas: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("scopegate: writing the counts of quotas: %w", err)
	}
	return nil
}

// restoreQuotas reads the counts that were saved before a restart. Without them quotas begin
// anew; that is no reason to serve nobody.
func (p *pooled) restoreQuotas() {
	data, err := os.ReadFile(p.path + quotasSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var saved []savedQuota
	if err == nil {
		err = json.Unmarshal(data, &saved)
	}
	if err != nil {
		p.logger.Error("the counts of quotas cannot be read; they begin anew", "file", p.path+quotasSuffix, "error", err)
		return
	}
	counts := make([]limits.QuotaCount, len(saved))
	for i, s := range saved {
		counts[i] = limits.QuotaCount{Token: s.Token, API: s.API, Per: s.Per, Start: time.Unix(s.Start, 0), Count: s.Count}
	}
	p.limiter.Restore(counts)
}
