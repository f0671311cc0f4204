// Package evaluation evaluates many flags for many users, for comparison.
package evaluation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/launchdarkly/go-sdk-common/v3/ldcontext"
	"github.com/launchdarkly/go-sdk-common/v3/ldreason"
	"github.com/launchdarkly/go-sdk-common/v3/ldvalue"
	ldclient "github.com/launchdarkly/go-server-sdk/v7"
)

// Result is what one flag was for one user. As JSON, value and reason have the
// form that they have in every LaunchDarkly SDK.
type Result struct {
	Flag      string                    `json:"flag"`
	User      string                    `json:"user"`
	Value     ldvalue.Value             `json:"value"`
	Variation ldvalue.OptionalInt       `json:"variation"`
	Reason    ldreason.EvaluationReason `json:"reason"`
}

// All evaluates every flag for every user, in the order given, users within
// flags. The default value is null.
func All(client *ldclient.LDClient, flags []string, users []ldcontext.Context) []Result {
	results := make([]Result, 0, len(flags)*len(users))
	for _, flag := range flags {
		for _, user := range users {
			results = append(results, One(client, flag, user))
		}
	}
	return results
}

// One evaluates one flag for one user.
func One(client *ldclient.LDClient, flag string, user ldcontext.Context) Result {
	// The error says no more than the reason does.
	_, detail, _ := client.JSONVariationDetail(flag, user, ldvalue.Null())
	return Result{
		Flag:      flag,
		User:      user.Key(),
		Value:     detail.Value,
		Variation: detail.VariationIndex,
		Reason:    detail.Reason,
	}
}

// Users reads a JSON array of users.
func Users(users []byte) ([]ldcontext.Context, error) {
	var parsed []ldcontext.Context
	if err := json.Unmarshal(users, &parsed); err != nil {
		return nil, fmt.Errorf("parsing users: %w", err)
	}
	return parsed, nil
}

// FlagKeys returns the sorted keys of the flags in a payload, deleted ones too.
func FlagKeys(payload []byte) ([]string, error) {
	var parsed struct {
		Flags map[string]json.RawMessage `json:"flags"`
	}
	if err := json.Unmarshal(payload, &parsed); err != nil {
		return nil, fmt.Errorf("parsing flags: %w", err)
	}
	return slices.Sorted(maps.Keys(parsed.Flags)), nil
}
