package redislog

import (
	"context"
	_ "embed" // the scripts
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/notify"
)

//go:embed lua/messages.lua
var messagesSource string

//go:embed lua/messages_sync.lua
var messagesSyncSource string

//go:embed lua/messages_claim.lua
var messagesClaimSource string

//go:embed lua/messages_settle.lua
var messagesSettleSource string

var (
	messagesSyncScript   = redis.NewScript(messagesSource + messagesSyncSource)
	messagesClaimScript  = redis.NewScript(messagesSource + messagesClaimSource)
	messagesSettleScript = redis.NewScript(messagesSource + messagesSettleSource)
)

// messagesTimeout is how long a call may take. No request waits for it.
const messagesTimeout = 5 * time.Second

// Messages is what nodes tell each other in a Redis of the messages that they send, a
// [notify.Exchange]. It is safe for concurrent use, and ends with the [Log] that it belongs to.
type Messages struct{ log *Log }

// Messages returns what nodes tell each other of messages.
func (l *Log) Messages() *Messages { return &Messages{l} }

// What the scripts get. They have milliseconds, and no field that is empty.
type (
	syncArgument struct {
		Node   string          `json:"node"`
		Epoch  string          `json:"epoch"`
		Seq    uint64          `json:"seq"`
		Fresh  string          `json:"fresh"`
		Lease  int64           `json:"lease"`
		Grace  int64           `json:"grace"`
		Ask    []string        `json:"ask,omitempty"`
		Want   []string        `json:"want,omitempty"`
		Marks  []markArgument  `json:"marks,omitempty"`
		Open   []sharedMessage `json:"open,omitempty"`
		Roles  []string        `json:"roles,omitempty"`
		Forget []string        `json:"forget,omitempty"`
		Drop   []string        `json:"drop,omitempty"`
	}
	claimArgument struct {
		Node    string        `json:"node"`
		Epoch   string        `json:"epoch"`
		Seq     uint64        `json:"seq"`
		Lease   int64         `json:"lease"`
		Message sharedMessage `json:"message"`
	}
	settleArgument struct {
		Node     string         `json:"node"`
		ID       string         `json:"id"`
		Marks    []markArgument `json:"marks,omitempty"`
		Failures int            `json:"failures"`
		Due      int64          `json:"due"`
	}
	sharedMessage struct {
		ID   string   `json:"id"`
		Keys []string `json:"keys"`
		Text string   `json:"text"`
		Mine bool     `json:"mine"`
	}
	markArgument struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
)

func markArguments(marks []notify.Mark) []markArgument {
	list := make([]markArgument, len(marks))
	for i, m := range marks {
		list[i] = markArgument(m)
	}
	return list
}

// run calls a script.
func (m *Messages) run(ctx context.Context, script *redis.Script, argument any) *redis.Cmd {
	text, err := json.Marshal(argument)
	if err != nil {
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(err)
		return cmd
	}
	prefix := m.log.keys.messages
	return script.Run(ctx, m.log.client, []string{prefix, prefix + ":marks", prefix + ":held", prefix + ":texts", prefix + ":members"}, text)
}

// Sync implements [notify.Exchange].
func (m *Messages) Sync(ctx context.Context, s *notify.Sync) (*notify.Common, error) {
	ctx, cancel := context.WithTimeout(ctx, messagesTimeout)
	defer cancel()
	if len(s.Marks)+len(s.Open) > 0 {
		if err := m.log.checkRoom(ctx); err != nil {
			return nil, err
		}
	}
	argument := syncArgument{
		Node: s.Node, Epoch: s.Seen.Epoch, Seq: s.Seen.Seq, Fresh: s.Fresh, Lease: s.Lease.Milliseconds(), Grace: s.Grace.Milliseconds(),
		Ask: s.Ask, Want: s.Want, Marks: markArguments(s.Marks), Roles: s.Roles, Forget: s.Forget, Drop: s.Drop,
	}
	for i := range s.Open {
		argument.Open = append(argument.Open, sharedMessage(s.Open[i]))
	}
	list, err := m.run(ctx, messagesSyncScript, &argument).Slice()
	if err != nil {
		return nil, fmt.Errorf("redislog: messages: %w", err)
	}
	return readCommon(list)
}

// readCommon reads what the script messages_sync.lua answers.
func readCommon(list []any) (*notify.Common, error) {
	a := answers{list: list}
	c := &notify.Common{Memory: notify.Memory{Epoch: a.text(), Seq: a.number()}, Quiet: a.milliseconds()}
	open := a.nested()
	for open.at < len(open.list) && !open.bad {
		c.Open = append(c.Open, notify.OpenState{
			ID: open.text(), Mine: open.text() == "1", Free: open.text() == "1",
			Attempts: int(open.number()), Next: open.milliseconds(), //nolint:gosec // a small number; another makes the next try late
		})
	}
	bad := open.bad
	for _, texts := range []*[]string{&c.Marks, &c.Texts, &c.Roles} {
		part := a.nested()
		for part.at < len(part.list) && !part.bad {
			*texts = append(*texts, part.text())
		}
		bad = bad || part.bad
	}
	if bad || a.bad {
		return nil, errAnswer
	}
	return c, nil
}

// Claim implements [notify.Exchange].
func (m *Messages) Claim(ctx context.Context, c *notify.Claim) (*notify.Claimed, error) {
	ctx, cancel := context.WithTimeout(ctx, messagesTimeout)
	defer cancel()
	if err := m.log.checkRoom(ctx); err != nil {
		return nil, err
	}
	list, err := m.run(ctx, messagesClaimScript, &claimArgument{
		Node: c.Node, Epoch: c.Seen.Epoch, Seq: c.Seen.Seq, Lease: c.Lease.Milliseconds(), Message: sharedMessage(c.Message),
	}).Slice()
	if err != nil {
		return nil, fmt.Errorf("redislog: messages: %w", err)
	}
	a := answers{list: list}
	found := &notify.Claimed{Mine: a.text() == "ok"}
	if found.Mine {
		found.Attempts, found.Next = int(a.number()), a.milliseconds() //nolint:gosec // as above
	}
	for a.at < len(a.list) && !a.bad {
		found.Marks = append(found.Marks, notify.Mark{Key: a.text(), Value: a.text()})
	}
	if a.bad {
		return nil, errAnswer
	}
	return found, nil
}

// Settle implements [notify.Exchange].
func (m *Messages) Settle(ctx context.Context, s *notify.Settled) error {
	ctx, cancel := context.WithTimeout(ctx, messagesTimeout)
	defer cancel()
	argument := settleArgument{
		Node: s.Node, ID: s.ID, Marks: markArguments(s.Marks), Failures: s.Attempts, Due: max(0, s.Next).Milliseconds(),
	}
	if err := m.run(ctx, messagesSettleScript, &argument).Err(); err != nil {
		return fmt.Errorf("redislog: messages: %w", err)
	}
	return nil
}

var _ notify.Exchange = (*Messages)(nil)
