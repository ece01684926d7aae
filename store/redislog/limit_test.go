package redislog

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// limitOp is something that is done to a token of an account.
type limitOp struct {
	kind  string // "create", "activate" or "deactivate"
	token int
}

// limitResult is what came of it.
type limitResult string

const (
	made    limitResult = "made"
	refused limitResult = "refused" // because of the limit
	unknown limitResult = "unknown" // it may have been made, and may yet be
)

// limitModel is an account with a limit: the set of its active tokens, as bits. A
// result that is not known stands for both.
func limitModel(limit int) porcupine.Model {
	step := func(state, input, output any) []any {
		active, op := state.(uint64), input.(limitOp)
		bit := uint64(1) << op.token
		after := active | bit
		if op.kind == "deactivate" {
			after = active &^ bit
		}
		fits := op.kind == "deactivate" || bits.OnesCount64(after) <= limit
		switch {
		case output == made && fits:
			return []any{after}
		case output == refused && !fits:
			return []any{active}
		case output == unknown && fits:
			return []any{active, after}
		case output == unknown:
			return []any{active}
		}
		return nil
	}
	return (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{uint64(0)} },
		Step: step,
		DescribeOperation: func(input, output any) string {
			op := input.(limitOp)
			return fmt.Sprintf("%s %d: %v", op.kind, op.token, output)
		},
	}).ToModel()
}

// limitClient does random things to an account through one node.
type limitClient struct {
	node    *faultNode
	id      int
	tokens  []int // that it has made, or perhaps
	began   time.Time
	history []porcupine.Operation
}

// do does something and takes note of it. What is not known may happen until the end.
func (c *limitClient) do(op limitOp) {
	ctx, ref, s := context.Background(), fmt.Sprintf("acme/token-%d", op.token), c.node.store
	called := time.Since(c.began).Nanoseconds()
	var err error
	switch op.kind {
	case "create":
		_, err = s.Create(ctx, store.Actor{Name: "test"}, "acme", &scopes.Token{
			Name: ref[len("acme/"):], Description: "one of many", Contact: scopes.Contact{Email: "it@acme.example"},
		})
	case "activate":
		_, err = s.Activate(ctx, store.Actor{Name: "test"}, ref)
	case "deactivate":
		_, err = s.Deactivate(ctx, store.Actor{Name: "test"}, ref)
	}
	state, _ := s.Replication()
	result, returned := made, time.Since(c.began).Nanoseconds()
	switch {
	case errors.Is(err, store.ErrLimit):
		result = refused
	case err != nil, state.Pending > 0: // in force here, and elsewhere later
		result, returned = unknown, time.Hour.Nanoseconds()
	}
	c.history = append(c.history, porcupine.Operation{ClientId: c.id, Input: op, Output: result, Call: called, Return: returned})
	if op.kind == "create" && result != refused {
		c.tokens = append(c.tokens, op.token)
	}
}

// relay fills the account, and then has each client take the place that another one has
// just made free: it has hardly heard of that when it begins.
func relay(t *testing.T, clients []*limitClient, next int) {
	t.Helper()
	var active []int
	tokens, err := clients[0].node.store.Tokens(store.Filter{Account: "acme", Active: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range tokens {
		var token int
		if _, err := fmt.Sscanf(tokens[i].Name, "token-%d", &token); err != nil {
			t.Fatal(err)
		}
		active = append(active, token)
	}
	for i := range 60 - next {
		c := clients[i%len(clients)]
		if len(active) > 0 && c.limited() {
			clients[(i+1)%len(clients)].do(limitOp{"deactivate", active[0]})
			active = active[1:]
		}
		c.do(limitOp{"create", next + i})
		if c.history[len(c.history)-1].Output == made {
			active = append(active, next+i)
		}
	}
}

// limited reports whether the account is full, as far as the client's node knows.
func (c *limitClient) limited() bool {
	a, err := c.node.store.Account("acme")
	return err == nil && a.ActiveTokens >= a.ActiveLimit()
}

// An account's limit holds over all nodes, whoever is faster and whatever answers are
// lost: what each client was told is what it would have been told had they all come one
// after the other.
func TestLimitAcrossNodes(t *testing.T) {
	t.Parallel()
	const limit, perClient = 20, 11
	nodes := newFaultNodes(t, redistest.Start(t), 3, faultStaleness, nil)
	awaitAgreement(t, nodes)
	clients := make([]*limitClient, len(nodes))
	began := time.Now()
	var working sync.WaitGroup
	for at, n := range nodes {
		c := &limitClient{node: n, id: at, began: began}
		clients[at] = c
		working.Go(func() {
			random := rand.New(rand.NewPCG(uint64(at), 3)) // the same each time
			for i := range perClient {
				lost := i%5 == 4 // what is sent is answered to nobody
				if lost {
					n.proxy.Mute()
				}
				switch kind := random.IntN(4); {
				case kind == 0 && len(c.tokens) > 0:
					c.do(limitOp{"deactivate", c.tokens[random.IntN(len(c.tokens))]})
				case kind == 1 && len(c.tokens) > 0:
					c.do(limitOp{"activate", c.tokens[random.IntN(len(c.tokens))]})
				default:
					c.do(limitOp{"create", at*perClient + i})
				}
				if lost {
					n.proxy.Cut()
					n.proxy.Mend()
				}
			}
		})
	}
	working.Wait()
	awaitAgreement(t, nodes)
	relay(t, clients, perClient*len(clients))
	awaitAgreement(t, nodes)
	var history []porcupine.Operation
	count := make(map[any]int)
	for _, c := range clients {
		history = append(history, c.history...)
	}
	for _, op := range history {
		count[op.Output]++
	}
	t.Logf("what came of it: %v", count)
	result, info := porcupine.CheckOperationsVerbose(limitModel(limit), history, time.Minute)
	if result != porcupine.Ok {
		path := t.TempDir() + "/history.html"
		_ = porcupine.VisualizePath(limitModel(limit), info, path)
		t.Errorf("the history is %s; see %s\n%v", result, path, history)
	}
	if count[made] < limit || count[refused] == 0 || count[unknown] == 0 {
		t.Error("too little came of it to show anything")
	}
	for at, n := range nodes {
		tokens, err := n.store.Tokens(store.Filter{Account: "acme", Active: true})
		account, accountErr := n.store.Account("acme")
		if err != nil || accountErr != nil {
			t.Fatal(err, accountErr)
		}
		if len(tokens) > limit || account.ActiveTokens != len(tokens) {
			t.Errorf("node %d: %d active tokens, counted as %d", at, len(tokens), account.ActiveTokens)
		}
	}
}
