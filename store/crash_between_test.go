package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// crashRounds is how often a process is killed: SCOPEGATE_SOAK=1 asks for many.
func crashRounds(few int) int {
	if os.Getenv("SCOPEGATE_SOAK") != "" {
		return 100
	}
	return few
}

// killedAfter runs a child until it has said its first line and a delay is over,
// kills it, and returns the lines that it wrote to their ends.
func killedAfter(t *testing.T, name, path, seed string, delay time.Duration) []string {
	t.Helper()
	cmd := newChild(t.Context(), name, path, seed)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	out := bufio.NewReader(stdout)
	for {
		line, err := out.ReadString('\n')
		if err != nil { // what was cut off counts for nothing
			break
		}
		if said = append(said, strings.TrimSuffix(line, "\n")); len(said) == 1 {
			timer := time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
		}
	}
	_ = cmd.Wait() // it was killed
	if stderr.Len() > 0 {
		t.Fatalf("the child failed by itself: %s", stderr.String())
	}
	return said
}

// generationTokens is how many tokens the scope file has of which each generation
// says something else.
const generationTokens = 3000

// generationFile returns the scope file of a generation. It changes every token:
// in each, others are inactive, so that applying it takes away and gives back.
func generationFile(generation int) *scopes.File {
	tokens := make([]scopes.Token, generationTokens)
	for i := range tokens {
		token := testToken(fmt.Sprint("t", i))
		token.Scopes, token.Access = nil, scopes.ReadOnly // these have no limit
		token.Description = strconv.Itoa(generation)
		token.Inactive = inactiveIn(generation, i)
		tokens[i] = token
	}
	return testFile(acme(tokens...))
}

func inactiveIn(generation, token int) bool { return (token+generation)%3 == 0 }

// applyUntilKilled applies the file of the generation that is its seed. It says
// "ready" before and "done" after.
func applyUntilKilled(path string) error {
	generation, err := strconv.Atoi(os.Getenv(childSeed))
	if err != nil {
		return err
	}
	s, err := Open(path, testOptions())
	if err != nil {
		return err
	}
	plan, err := s.Plan(context.Background(), generationFile(generation), PlanOptions{})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := s.Apply(context.Background(), plan, ApplyOptions{Actor: tester, AllowWiden: true}); err != nil {
		return err
	}
	fmt.Println("done")
	_, err = io.Copy(io.Discard, os.Stdin) // until it is killed
	return err
}

// generationOf returns the generation that all tokens are of, and fails the test
// where they are of several.
func generationOf(t *testing.T, s *Store) int {
	t.Helper()
	generation := -1
	err := s.view(func(r reader) error {
		for i := range generationTokens {
			rec, err := r.named("acme/" + fmt.Sprint("t", i))
			if err != nil {
				return err
			}
			of, err := strconv.Atoi(rec.token.Description)
			if err != nil {
				return err
			}
			if generation < 0 {
				generation = of
			}
			if of != generation || rec.token.Inactive != inactiveIn(generation, i) {
				return fmt.Errorf("token %d is of generation %d and inactive: %t, and the first is of generation %d",
					i, of, rec.token.Inactive, generation)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return generation
}

// applyGeneration applies the file of a generation, and returns how long that took.
func applyGeneration(t *testing.T, s *Store, generation int) time.Duration {
	t.Helper()
	plan, err := s.Plan(t.Context(), generationFile(generation), PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := s.Apply(t.Context(), plan, ApplyOptions{Actor: tester, AllowWiden: true}); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// A process is killed while it applies a file that changes some thousand tokens.
// The store then is as before or as after, and an older copy of it revives nothing.
func TestKilledWhileApplying(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, generationFile(0))
	span := applyGeneration(t, s, 1)
	checkAndClose(t, s)
	oldest := path + ".oldest"
	copyFile(t, path, oldest)

	generation, applied := 1, 0
	for round := range crashRounds(4) {
		before := generation
		said := killedAfter(t, "apply", path, strconv.Itoa(before+1), rand.N(span))
		s, err := Open(path, testOptions())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		generation = generationOf(t, s)
		if generation != before && generation != before+1 || generation == before && slices.Contains(said, "done") {
			t.Errorf("round %d: got generation %d after %d; the process said %q", round, generation, before, said)
		}
		applied += generation - before
		if checkAndClose(t, s); t.Failed() {
			return
		}
	}
	t.Logf("%d of %d were applied when the process was killed", applied, crashRounds(4))

	copyFile(t, oldest, path)
	s = openStore(t, path, testOptions())
	for i := range generationTokens {
		if got := stateOf(s, fmt.Sprint("secret of t", i)); inactiveIn(generation, i) && got != scopes.Deactivated {
			t.Errorf("token %d was deactivated, and an older copy gives it state %d", i, got)
		}
	}
}

// rotationStep is what the process says that rotates: before a change without
// digests, and after it with those that the token then has.
type rotationStep struct {
	Token   string
	Action  string // "rotate", "overlap" or "retire"
	Digests []string
}

const rotatedTokens = 5

// rotateUntilKilled rotates a few tokens in turn, with and without an overlap.
func rotateUntilKilled(path string) error {
	s, err := Open(path, testOptions())
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for i := 0; ; i++ {
		ref := fmt.Sprint("acme/t", i%rotatedTokens)
		had, err := digestsOf(s, ref)
		if err != nil {
			return err
		}
		step := rotationStep{Token: ref, Action: "retire"}
		if len(had) == 1 {
			step.Action = []string{"rotate", "overlap"}[rand.IntN(2)]
		}
		if err := out.Encode(step); err != nil {
			return err
		}
		switch step.Action {
		case "retire":
			_, err = s.Retire(context.Background(), tester, ref)
		case "rotate":
			_, err = s.Rotate(context.Background(), tester, ref, 0)
		case "overlap":
			_, err = s.Rotate(context.Background(), tester, ref, time.Hour)
		}
		if err != nil {
			return err
		}
		if step.Digests, err = digestsOf(s, ref); err != nil {
			return err
		}
		if err := out.Encode(step); err != nil {
			return err
		}
	}
}

// digestsOf returns the digests of a token's credentials, the older one first.
func digestsOf(s *Store, ref string) (digests []string, err error) {
	err = s.view(func(r reader) error {
		rec, err := r.named(ref)
		if err != nil {
			return err
		}
		for _, d := range rec.digests() {
			digests = append(digests, hex.EncodeToString(d[:]))
		}
		return nil
	})
	return digests, err
}

// A process is killed while it rotates. Each token then has the credentials from
// before or those from after, never none, and what was taken from it is dead, in
// an older copy too.
func TestKilledWhileRotating(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string][]string) // token to digests
	tokens := make([]scopes.Token, rotatedTokens)
	for i := range tokens {
		tokens[i] = testToken(fmt.Sprint("t", i))
		d := tokens[i].Credential
		known["acme/"+tokens[i].Name] = []string{hex.EncodeToString(d[:])}
	}
	apply(t, s, testFile(acme(tokens...)))
	checkAndClose(t, s)
	oldest := path + ".oldest"
	copyFile(t, path, oldest)

	dead := make(map[string]bool) // digests that were taken away
	steps := 0
	for round := range crashRounds(10) {
		said := killedAfter(t, "rotate", path, "", rand.N(100*time.Millisecond))
		var last rotationStep
		for _, line := range said {
			if last = (rotationStep{}); json.Unmarshal([]byte(line), &last) != nil {
				t.Fatalf("round %d: the process said %q", round, line)
			}
			if len(last.Digests) > 0 {
				learnRotation(known, dead, last.Token, last.Digests)
				steps++
			}
		}
		s, err := Open(path, testOptions())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		checkRotations(t, s, known, dead, last)
		if checkAndClose(t, s); t.Failed() {
			t.Logf("round %d: the last that the process said is %+v", round, last)
			return
		}
	}
	t.Logf("%d steps were acknowledged, %d credentials are dead", steps, len(dead))

	copyFile(t, oldest, path)
	s = openStore(t, path, testOptions())
	for digits := range dead {
		if got := s.Snapshot().Grant(digestOf(t, digits)); got.State != scopes.Unknown {
			t.Errorf("a credential that was taken away has state %d in an older copy", got.State)
		}
	}
}

// learnRotation keeps what a token has now, and what it no longer has.
func learnRotation(known map[string][]string, dead map[string]bool, ref string, digests []string) {
	for _, d := range known[ref] {
		if !slices.Contains(digests, d) {
			dead[d] = true
		}
	}
	known[ref] = digests
}

// checkRotations compares the store with what is known. The step that the process
// was killed in was either made or not.
func checkRotations(t *testing.T, s *Store, known map[string][]string, dead map[string]bool, last rotationStep) {
	t.Helper()
	for ref, had := range known {
		got, err := digestsOf(s, ref)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(got, had) {
			continue
		}
		if ref != last.Token || len(last.Digests) > 0 || !isStep(last.Action, had, got) {
			t.Errorf("%s: it had %d credentials and has %d, which %q does not explain", ref, len(had), len(got), last.Action)
		}
		learnRotation(known, dead, ref, got)
	}
	for ref, digests := range known {
		for _, digits := range digests {
			if got := s.Snapshot().Grant(digestOf(t, digits)); got.State != scopes.Active {
				t.Errorf("%s: its credential has state %d", ref, got.State)
			}
		}
	}
	for digits := range dead {
		if got := s.Snapshot().Grant(digestOf(t, digits)); got.State != scopes.Unknown {
			t.Errorf("a credential that was taken away has state %d", got.State)
		}
	}
}

// isStep reports whether an action leads from the one list of digests to the other.
func isStep(action string, had, got []string) bool {
	switch action {
	case "rotate":
		return len(had) == 1 && len(got) == 1
	case "overlap":
		return len(had) == 1 && len(got) == 2 && got[0] == had[0]
	case "retire":
		return len(had) == 2 && len(got) == 1 && got[0] == had[1]
	}
	return false
}

func digestOf(t *testing.T, digits string) scopes.Digest {
	t.Helper()
	d, err := scopes.ParseDigest("sha256:" + digits)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// restoreUntilKilled restores an older copy again and again.
func restoreUntilKilled(path string) error {
	older, err := os.ReadFile(path + ".older")
	if err != nil {
		return err
	}
	for {
		fmt.Println("ready")
		s, err := Restore(context.Background(), path, bytes.NewReader(older), RestoreOptions{Options: testOptions()})
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			return err
		}
	}
}

// A process is killed while it restores an older copy. The store then is the one
// that was there or the copy, never an empty one, and nothing is revived.
func TestKilledWhileRestoring(t *testing.T) {
	t.Parallel()
	s, path, older := backedUp(t)
	if err := errors.Join(s.Close(), os.WriteFile(path+".older", older, fileMode)); err != nil {
		t.Fatal(err)
	}
	var revision uint64
	for round := range crashRounds(8) {
		said := killedAfter(t, "restore", path, "", rand.N(60*time.Millisecond))
		s, err := Open(path, testOptions())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		wantRevoked(t, s)
		if got := s.Snapshot().Revision(); got < revision {
			t.Errorf("round %d: the revision went from %d back to %d", round, revision, got)
		}
		revision = s.Snapshot().Revision()
		if checkAndClose(t, s); t.Failed() {
			t.Logf("round %d: killed in restore %d", round, len(said))
			return
		}
	}
}
