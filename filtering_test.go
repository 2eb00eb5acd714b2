package chatroom_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A verdict that depends on the text alone.
func verdict(v chatroom.Verdict, words ...string) chatroom.Filter {
	return chatroom.FilterFunc(func(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
		if len(words) == 0 || slices.ContainsFunc(words, func(w string) bool { return strings.Contains(d.Text, w) }) {
			return v, nil
		}
		return chatroom.Verdict{}, nil
	})
}

func step(name string, f chatroom.Filter) chatroom.FilterStep {
	return chatroom.FilterStep{Name: name, Filter: f}
}

func filtered(steps ...chatroom.FilterStep) (opts []chatroom.Option) {
	for _, s := range steps {
		opts = append(opts, chatroom.WithFilter(s))
	}
	return opts
}

func TestFiltersReviewInOrderWhatTheOneBeforeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []chatroom.Draft
		watch := chatroom.FilterFunc(func(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
			seen = append(seen, d)
			return chatroom.Verdict{}, nil
		})
		srv := hostBubble(t, filtered(
			step("first", watch),
			step("gentle", verdict(chatroom.Verdict{Decision: chatroom.DecisionRewrite, Text: "d*mn\x1b!", Rule: "r", Score: 0.5, Evidence: "damn"}, "damn")),
			step("second", watch),
			step("strict", verdict(chatroom.Verdict{Decision: chatroom.DecisionRefuse, Reason: "no"}, "bad", "d*mn␛! bad")),
			step("third", watch),
		)...)
		bob := joinInside(t, srv, "bob")
		e, err := say(t, bob, "damn")
		if err != nil || e.Text != "d*mn␛!" {
			t.Errorf("said %+v, %v", e, err)
		}
		_, err = say(t, bob, "bad")
		if told := wantCode(t, err, chatroom.CodeRefused); told.Text != "no" {
			t.Errorf("bob is told %+v", told)
		}
		var texts []string
		for _, d := range seen {
			texts = append(texts, d.Text)
		}
		if diff := cmp.Diff([]string{"damn", "d*mn␛!", "d*mn␛!", "bad", "bad"}, texts); diff != "" {
			t.Errorf("reviewed (-want +got):\n%s", diff)
		}
		want := chatroom.Draft{Verb: chatroom.VerbSay, Room: "lobby", Text: "damn", Nick: "bob", Member: 1, Time: time.Now().UTC(), Joined: seen[0].Joined}
		if diff := cmp.Diff(want, seen[0], cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("draft (-want +got):\n%s", diff)
		}
		recs := audits(srv)
		if len(recs) != 2 || recs[0].Rule != "r" || recs[0].Score != 0.5 || recs[0].Evidence != "damn" || recs[0].Text != "d*mn␛!" ||
			recs[0].Messages[0].Text != "damn" || recs[0].By != "gentle" || recs[0].Source != chatroom.SourceFilter || recs[0].Verb != "rewrite" {
			t.Errorf("recorded %+v", recs)
		}
	})
}

func TestADryFilterCountsAndDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := step("dry", verdict(chatroom.Verdict{Decision: chatroom.DecisionBan, Rule: "all"}))
		s.Dry = true
		srv := hostBubble(t, chatroom.WithFilter(s))
		bob := joinInside(t, srv, "bob")
		for range 10 {
			if _, err := say(t, bob, "hello"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		say(t, bob, "hello")
		if got := srv.Stats().Filters["dry"]; got != (chatroom.FilterStats{Reviewed: 11, Decided: 11}) {
			t.Errorf("counted %+v", got)
		}
		recs := audits(srv)
		if len(recs) != 2 || !recs[0].Dry || recs[0].Verb != "ban" || recs[0].Rule != "all" || recs[0].Bans != nil {
			t.Errorf("recorded %+v", recs)
		}
		if _, err := srv.Moderate(t.Context(), cmd{Verb: chatroom.VerbUndo, Ref: recs[0].ID}); err == nil {
			t.Error("what was not done is taken back")
		}
	})
}

func TestFiltersExemptRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := verdict(chatroom.Verdict{Decision: chatroom.DecisionRefuse}, "x")
		srv := hostBubble(t, filtered(
			step("members", refuse),
			chatroom.FilterStep{Name: "moderators", Filter: verdict(chatroom.Verdict{Decision: chatroom.DecisionRefuse}, "y"), UpTo: chatroom.RoleModerator},
		)...)
		for role, want := range map[chatroom.Role][2]chatroom.Code{
			chatroom.RoleMember:    {chatroom.CodeRefused, chatroom.CodeRefused},
			chatroom.RoleModerator: {"", chatroom.CodeRefused},
			chatroom.RoleAdmin:     {"", ""},
		} {
			c, err := srv.Join(t.Context(), chatroom.Identity{Nick: role.String() + "1", Role: role})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			for i, text := range []string{"x", "y"} {
				_, err := say(t, c, text)
				wantCode(t, err, want[i])
			}
		}
	})
}

func TestAFilterThatFailsAbstains(t *testing.T) {
	type reviewing = func(context.Context, chatroom.Draft) (chatroom.Verdict, error)
	refuse := chatroom.Verdict{Decision: chatroom.DecisionRefuse}
	for name, f := range map[string]reviewing{
		"error": func(context.Context, chatroom.Draft) (chatroom.Verdict, error) { return refuse, errors.New("no model") },
		"panic": func(context.Context, chatroom.Draft) (chatroom.Verdict, error) { panic("no model") },
		"late": func(ctx context.Context, _ chatroom.Draft) (chatroom.Verdict, error) {
			<-ctx.Done()
			return refuse, ctx.Err()
		},
		"hang": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				if name == "hang" {
					f = func(context.Context, chatroom.Draft) (chatroom.Verdict, error) {
						<-release
						return refuse, nil
					}
				}
				srv := hostBubble(t, filtered(step("broken", chatroom.FilterFunc(f)), step("well", verdict(refuse, "bad")))...)
				bob, eve := joinInside(t, srv, "bob"), joinInside(t, srv, "eve")
				for range 20 {
					began := time.Now()
					if _, err := say(t, bob, "good"); err != nil || time.Since(began) > 1100*time.Millisecond {
						t.Fatalf("after %v: %v", time.Since(began), err)
					}
				}
				_, err := say(t, bob, "bad")
				wantCode(t, err, chatroom.CodeRefused)
				if got := srv.Stats().Filters["broken"]; got.Failed != 21 || got.Reviewed != 21 {
					t.Errorf("counted %+v", got)
				}
				began := time.Now() // with so many reviews stuck it is not asked any more
				if say(t, eve, "good"); name == "hang" && time.Since(began) > 0 {
					t.Errorf("eve waited %v", time.Since(began))
				}
			})
		})
	}
}

func TestAHeldMessageIsSaidByItsAuthorOnceApproved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, append(filtered(step("words", verdict(chatroom.Verdict{Decision: chatroom.DecisionHold, Reason: "casino"}, "casino"))),
			chatroom.WithAuthenticator(courtUsers))...)
		alice, bob, eve := joinInside(t, srv, "alice"), joinByJSON(t, srv, "bob"), joinInside(t, srv, "eve")
		var refs []string
		for _, c := range []cmd{chatroom.Say("", "casino 1"), chatroom.Action("", "casino 2"), chatroom.Say("", "casino 3")} {
			_, err := bob.Send(t.Context(), c)
			refs = append(refs, wantCode(t, err, chatroom.CodeHeld).Ref)
		}
		events, _ := received(alice)
		var told []string
		for _, e := range events {
			if e.Kind == chatroom.KindHold {
				told = append(told, e.Report.Held[0].ID)
			}
		}
		if diff := cmp.Diff(refs, told); diff != "" {
			t.Errorf("held (-bob is told +alice is told):\n%s", diff)
		}
		received(eve)
		bob.Close()
		for i, verb := range []chatroom.Verb{chatroom.VerbApprove, chatroom.VerbApprove, chatroom.VerbReject} {
			if _, err := alice.Send(t.Context(), cmd{Verb: verb, Ref: refs[i]}); err != nil {
				t.Errorf("%s: %v", verb, err)
			}
			_, err := alice.Send(t.Context(), cmd{Verb: verb, Ref: refs[i]})
			wantCode(t, err, chatroom.CodeNoSuchRef)
		}
		events, _ = received(eve)
		var heard []string
		for _, e := range events {
			heard = append(heard, string(e.Kind)+" "+e.From+" "+e.Text)
		}
		if diff := cmp.Diff([]string{"leave bob ", "message bob casino 1", "action bob casino 2"}, heard); diff != "" {
			t.Errorf("eve heard (-want +got):\n%s", diff)
		}
		if got := auditLines(srv); got != "hold bob, hold bob, hold bob, approve bob, approve bob, reject bob" {
			t.Errorf("recorded %s", got)
		}
	})
}

// A message that is approved is no way around a ban or a deletion: it is in the history like any other.
func TestVerdictsThatPunishAreCarriedOutAndRecorded(t *testing.T) {
	tests := []struct {
		decision chatroom.Decision
		lasts    time.Duration
		code     chatroom.Code
		want     string
	}{
		{chatroom.DecisionMute, 10 * time.Minute, chatroom.CodeMuted, "mute bob"},
		{chatroom.DecisionMute, 0, chatroom.CodeMuted, "mute bob"},
		{chatroom.DecisionKick, 0, chatroom.CodeKicked, "kick bob"},
		{chatroom.DecisionBan, 10 * time.Minute, chatroom.CodeBanned, "ban bob"},
		{chatroom.DecisionBan, 0, chatroom.CodeBanned, "ban bob"},
		{"nonsense", 0, chatroom.CodeRefused, "nonsense bob"},
	}
	for _, tt := range tests {
		for _, way := range moderatingWays[:2] {
			t.Run(string(tt.decision)+" "+way.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := chatroom.Verdict{Decision: tt.decision, For: tt.lasts, Reason: "spam", Rule: "rule 7", Score: 3, Evidence: "seen"}
					srv := hostBubble(t, filtered(step("words", verdict(v, "casino")))...)
					bob, eve := way.join(t, srv, "bob"), joinInside(t, srv, "eve")
					_, err := say(t, bob, "casino")
					told := wantCode(t, err, tt.code)
					lasts := tt.lasts
					if lasts == 0 {
						lasts = time.Hour
					}
					if over := time.Until(told.Until); !told.Until.IsZero() && (over <= lasts-time.Second || over > lasts) {
						t.Errorf("it lasts %v", over)
					}
					events, _ := received(eve)
					for _, e := range events {
						if e.Text == "casino" {
							t.Errorf("eve received %+v", e)
						}
					}
					recs := audits(srv)
					if got := auditLines(srv); got != tt.want {
						t.Errorf("recorded %s", got)
					}
					if r := recs[0]; r.Rule != "rule 7" || r.Score != 3 || r.Evidence != "seen" || r.By != "words" || r.Messages[0].Text != "casino" {
						t.Errorf("recorded %+v", r)
					}
					if told.Ref != "" && told.Ref != recs[0].ID {
						t.Errorf("bob is told of %s, recorded is %s", told.Ref, recs[0].ID)
					}
				})
			})
		}
	}
}
