// Package evaluation evaluates many flags for many users, for comparison.
package evaluation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"gopkg.in/launchdarkly/go-sdk-common.v1/ldvalue"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// Result is what one flag was for one user. As JSON, value and reason have the
// form that they have in every LaunchDarkly SDK.
type Result struct {
	Flag      string        `json:"flag"`
	User      string        `json:"user"`
	Value     ldvalue.Value `json:"value"`
	Variation *int          `json:"variation"` // nil where the default value is returned
	Reason    Reason        `json:"reason"`
}

// Reason is the SDK's, which alone can't be read from JSON.
type Reason struct {
	ld.EvaluationReason
}

// MarshalJSON implements json.Marshaler.
func (r Reason) MarshalJSON() ([]byte, error) { return json.Marshal(r.EvaluationReason) }

// UnmarshalJSON implements json.Unmarshaler.
func (r *Reason) UnmarshalJSON(data []byte) error {
	var container ld.EvaluationReasonContainer
	err := json.Unmarshal(data, &container)
	r.EvaluationReason = container.Reason
	return err
}

// All evaluates every flag for every user, in the order given, users within
// flags. The default value is null.
func All(client *ld.LDClient, flags []string, users []ld.User) []Result {
	results := make([]Result, 0, len(flags)*len(users))
	for _, flag := range flags {
		for _, user := range users {
			results = append(results, One(client, flag, user))
		}
	}
	return results
}

// One evaluates one flag for one user.
func One(client *ld.LDClient, flag string, user ld.User) Result {
	// The error says no more than the reason does.
	_, detail, _ := client.JSONVariationDetail(flag, user, ldvalue.Null())
	return Result{
		Flag:      flag,
		User:      user.GetKey(),
		Value:     detail.JSONValue,
		Variation: detail.VariationIndex,
		Reason:    Reason{detail.Reason},
	}
}

// Users reads a JSON array of users.
func Users(users []byte) ([]ld.User, error) {
	var parsed []ld.User
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
