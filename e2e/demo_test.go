package e2e_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/demo"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

// noVariation is the variation index where the default value is returned.
const noVariation = -1

// outcome is what one flag is for one user.
type outcome struct {
	value     string // JSON
	variation int
	reason    string
}

// outcomes are those of the payload's first four users: in their order, alice,
// bob, carol and eve. Rollouts come from the SHA-1 of flag key, salt and user.
var outcomes = map[string][4]outcome{
	"app-update": {
		{`"offer"`, 1, "RULE_MATCH(1,rule-early)"},
		{`"force"`, 2, "RULE_MATCH(0,rule-too-old)"},
		{`"none"`, 0, "FALLTHROUGH"},
		{`"force"`, 2, "RULE_MATCH(0,rule-too-old)"},
	},
	"button-color": {
		{`"blue"`, 0, "FALLTHROUGH"},
		{`"green"`, 1, "FALLTHROUGH"},
		{`"red"`, 2, "TARGET_MATCH"},
		{`"red"`, 2, "FALLTHROUGH"},
	},
	"delivery-to": {
		{`["DE","AT","FR"]`, 0, "FALLTHROUGH"},
		{`["DE","AT","FR"]`, 0, "FALLTHROUGH"},
		{`["DE","AT","FR"]`, 0, "FALLTHROUGH"},
		{`["CH"]`, 1, "RULE_MATCH(0,rule-not-eu)"},
	},
	"discount-rate": {
		{`0.075`, 1, "RULE_MATCH(0,rule-companies)"},
		{`0`, 0, "FALLTHROUGH"},
		{`0.15`, 2, "RULE_MATCH(0,rule-companies)"},
		{`0`, 0, "FALLTHROUGH"},
	},
	"legacy-search": {
		{`null`, noVariation, "OFF"},
		{`null`, noVariation, "OFF"},
		{`null`, noVariation, "OFF"},
		{`null`, noVariation, "OFF"},
	},
	"max-basket-size": {
		{`200`, 1, "RULE_MATCH(1,rule-staff)"},
		{`50`, 0, "FALLTHROUGH"},
		{`500`, 2, "RULE_MATCH(0,rule-hundred)"},
		{`50`, 0, "FALLTHROUGH"},
	},
	"new-checkout": {
		{`true`, 0, "TARGET_MATCH"},
		{`true`, 0, "RULE_MATCH(0,rule-beta)"},
		{`true`, 0, "RULE_MATCH(0,rule-beta)"},
		{`false`, 1, "TARGET_MATCH"},
	},
	"old-banner": {
		{`null`, noVariation, "ERROR(FLAG_NOT_FOUND)"},
		{`null`, noVariation, "ERROR(FLAG_NOT_FOUND)"},
		{`null`, noVariation, "ERROR(FLAG_NOT_FOUND)"},
		{`null`, noVariation, "ERROR(FLAG_NOT_FOUND)"},
	},
	"one-click-order": {
		{`"on"`, 0, "RULE_MATCH(0,rule-big)"},
		{`"on"`, 0, "RULE_MATCH(0,rule-big)"},
		{`"ask first"`, 1, "FALLTHROUGH"},
		{`"unavailable"`, 2, "PREREQUISITE_FAILED(saved-cards)"},
	},
	"prix/été: -50 % 🎉": {
		{`false`, 1, "FALLTHROUGH"},
		{`false`, 1, "FALLTHROUGH"},
		{`true`, 0, "RULE_MATCH(0,rule-zürich)"},
		{`true`, 0, "RULE_MATCH(0,rule-zürich)"},
	},
	"saved-cards": {
		{`true`, 0, "FALLTHROUGH"},
		{`true`, 0, "FALLTHROUGH"},
		{`true`, 0, "FALLTHROUGH"},
		{`false`, 1, "PREREQUISITE_FAILED(new-checkout)"},
	},
	"search-ranking": {
		{`{"engine":"classic"}`, 0, "FALLTHROUGH"},
		{`{"engine":"v2","limit":20,"weights":{"price":0.25,"text":0.75},"boost":["new",null,true]}`, 1, "TARGET_MATCH"},
		{`{"engine":"classic"}`, 0, "FALLTHROUGH"},
		{`{"engine":"classic"}`, 0, "FALLTHROUGH"},
	},
	"site-offline": {
		{`false`, 1, "OFF"},
		{`false`, 1, "OFF"},
		{`false`, 1, "OFF"},
		{`false`, 1, "OFF"},
	},
	"welcome-message": {
		{`"Grüß Gott!"`, 1, "RULE_MATCH(0,rule-de)"},
		{`"Ça va ?"`, 2, "RULE_MATCH(1,rule-fr)"},
		{`"Grüß Gott!"`, 1, "RULE_MATCH(0,rule-de)"},
		{`"Hello!"`, 0, "FALLTHROUGH"},
	},
}

// What the demo changes, for all users whom no rule matches.
var (
	changedMessage = outcome{`"<b>你好</b> & \"🎉\""`, 3, "FALLTHROUGH"}
	switchedOn     = outcome{`true`, 0, "FALLTHROUGH"}
)

// tableAtTheEnd is what the demo leaves in the table: the payload's keys and
// versions, and the new ones of the two flags that it changes.
var tableAtTheEnd = []localtable.Row{
	{Namespace: "$inited", Key: "$inited"},
	{Namespace: "features", Key: "app-update", Version: 14},
	{Namespace: "features", Key: "button-color", Version: 8},
	{Namespace: "features", Key: "delivery-to", Version: 9},
	{Namespace: "features", Key: "discount-rate", Version: 17},
	{Namespace: "features", Key: "legacy-search", Version: 3},
	{Namespace: "features", Key: "max-basket-size", Version: 2},
	{Namespace: "features", Key: "new-checkout", Version: 31},
	{Namespace: "features", Key: "old-banner", Version: 19},
	{Namespace: "features", Key: "one-click-order", Version: 5},
	{Namespace: "features", Key: "prix/été: -50 % 🎉", Version: 6},
	{Namespace: "features", Key: "saved-cards", Version: 12},
	{Namespace: "features", Key: "search-ranking", Version: 23},
	{Namespace: "features", Key: "site-offline", Version: 5},
	{Namespace: "features", Key: "welcome-message", Version: 8},
	{Namespace: "segments", Key: "beta-testers", Version: 44},
	{Namespace: "segments", Key: "big-spenders", Version: 3},
	{Namespace: "segments", Key: "kunden: Zürich/Süd", Version: 1},
	{Namespace: "segments", Key: "old-segment", Version: 2},
}

func TestDemo(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	report, err := demo.Run(&out, false)
	require.NoError(t, err)

	assert.NotEqual(t, os.Getpid(), report.ReaderPID)
	assert.Equal(t, 1, report.ServerConnections, "the reading process must not connect to LaunchDarkly")

	assertOutcomes(t, report.Evaluations, nil)
	assertOutcome(t, changedMessage, report.Changed)
	assertOutage(t, report.Outage)
	assertNoDefaults(t, report.Brownout)

	for i := range report.Rows {
		report.Rows[i].Item = ""
	}
	assert.Equal(t, tableAtTheEnd, report.Rows)
	for flag := range outcomes {
		assert.Contains(t, out.String(), flag)
	}
	assert.Contains(t, out.String(), "Summary")
}

func assertOutage(t *testing.T, outage demo.Outage) {
	t.Helper()
	before := map[string]outcome{"welcome-message": changedMessage}
	after := map[string]outcome{"welcome-message": changedMessage, "site-offline": switchedOn}
	assertOutcomes(t, outage.Evaluations[0], after)
	assertOutcomes(t, outage.Evaluations[1], before)
	assertNoDefaults(t, outage.Before)
	assertNoDefaults(t, outage.During)
	for i := range outage.Afterwards {
		assertOutcomes(t, outage.Afterwards[i], after)
		require.GreaterOrEqual(t, len(outage.Logs[i]), 2, "a line for the beginning and one for the end")
		assert.Contains(t, outage.Logs[i][0], "WARN: DynamoDBFeatureStore: ")
		assert.Contains(t, outage.Logs[i][0], "connection refused")
		assert.Contains(t, strings.Join(outage.Logs[i][1:], "\n"), "can be used again")
	}
}

// assertNoDefaults expects that both processes went on evaluating.
func assertNoDefaults(t *testing.T, loads [2]demo.Load) {
	t.Helper()
	for _, load := range loads {
		assert.Positive(t, load.Evaluations)
		assert.Zero(t, load.Defaults)
	}
}

// assertOutcomes expects the payload's outcomes, except for users whom no rule
// matches, if the flag has changed for these.
func assertOutcomes(t *testing.T, results []evaluation.Result, changed map[string]outcome) {
	t.Helper()
	assert.Len(t, results, 4*len(outcomes))
	for _, result := range results {
		expected := outcomes[result.Flag][userIndex(t, result.User)]
		if now, is := changed[result.Flag]; is && (expected.reason == "FALLTHROUGH" || expected.reason == "OFF") {
			expected = now
		}
		assertOutcome(t, expected, result)
	}
}

func userIndex(t *testing.T, user string) int {
	for i, key := range []string{"alice", "bob", "carol", "eve"} {
		if key == user {
			return i
		}
	}
	require.Fail(t, "unexpected user", user)
	return 0
}

func assertOutcome(t *testing.T, expected outcome, result evaluation.Result) {
	t.Helper()
	assert.JSONEq(t, expected.value, result.Value.JSONString(), "%s for %s", result.Flag, result.User)
	variation := noVariation
	if result.Variation != nil {
		variation = *result.Variation
	}
	assert.Equal(t, expected.variation, variation, "%s for %s", result.Flag, result.User)
	assert.Equal(t, expected.reason, result.Reason.String(), "%s for %s", result.Flag, result.User)
}
