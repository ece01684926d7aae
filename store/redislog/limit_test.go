package redislog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// An account's limit holds over all nodes, whoever is faster and whatever answers are lost:
// there are never more active tokens than it allows, none that was acknowledged is missing,
// and none is there that was refused.
func TestLimitAcrossNodes(t *testing.T) {
	t.Parallel()
	const limit, perNode = 20, 12
	nodes := newFaultNodes(t, redistest.Start(t), 3, faultStaleness)
	awaitAgreement(t, nodes)
	var made, unknown atomic.Int64
	var creating sync.WaitGroup
	for at, n := range nodes {
		creating.Go(func() {
			for i := range perNode {
				if i%4 == 3 { // what was sent is answered to nobody
					n.proxy.Mute()
				}
				token := &scopes.Token{
					Name: fmt.Sprintf("token-%d-%d", at, i), Description: "one of many", Contact: scopes.Contact{Email: "it@acme.example"},
				}
				_, err := n.store.Create(context.Background(), store.Actor{Name: "test"}, "acme", token)
				switch {
				case err == nil:
					made.Add(1)
				case errors.Is(err, store.ErrUncertain), errors.Is(err, store.ErrUnreachable):
					unknown.Add(1)
				case !errors.Is(err, store.ErrLimit):
					t.Error(err)
				}
				n.proxy.Cut()
				n.proxy.Mend()
			}
		})
	}
	creating.Wait()
	awaitAgreement(t, nodes)
	for at, n := range nodes {
		tokens, err := n.store.Tokens(store.Filter{Account: "acme", Active: true})
		if err != nil {
			t.Fatal(err)
		}
		account, err := n.store.Account("acme")
		if err != nil {
			t.Fatal(err)
		}
		got, sure, perhaps := int64(len(tokens)), made.Load(), unknown.Load()
		if got > limit || got < sure || got > sure+perhaps || account.ActiveTokens != len(tokens) {
			t.Errorf("node %d: %d active tokens, counted as %d; %d were acknowledged, %d perhaps made", at, got, account.ActiveTokens, sure, perhaps)
		}
	}
	t.Logf("%d acknowledged, %d not known", made.Load(), unknown.Load())
}
