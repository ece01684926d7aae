package store

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// BenchmarkApply plans and applies a scope file of 100,000 tokens, on an empty store.
func BenchmarkApply(b *testing.B) {
	const accounts, perAccount = 5_000, 20
	file := &scopes.File{APIs: []scopes.API{{
		Name: "orders", Versions: []string{"v1"}, Operations: []scopes.Operation{{Name: "list", Methods: scopes.MethodOf("GET"), Path: "/orders/{version}"}},
	}}}
	for i := range accounts {
		account := scopes.Account{Name: fmt.Sprintf("account-%d", i)}
		for t := range perAccount {
			account.Tokens = append(account.Tokens, scopes.Token{
				Name: fmt.Sprintf("token-%d", t), Description: "reads orders", Contact: scopes.Contact{Email: "it@acme.example"},
				Scopes:     []scopes.Scope{{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET")}},
				Credential: scopes.DigestOf(fmt.Sprintf("credential %d %d", i, t)),
			})
		}
		file.Accounts = append(file.Accounts, account)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := Open(filepath.Join(b.TempDir(), "store.db"), testOptions())
		if err != nil {
			b.Fatal(err)
		}
		plan, err := s.Plan(b.Context(), file, PlanOptions{})
		if err == nil {
			_, err = s.Apply(b.Context(), plan, ApplyOptions{AllowWiden: true})
		}
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
