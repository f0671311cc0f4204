package bench

import (
	"fmt"

	"github.com/aws/aws-sdk-go/aws"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

type dataSet = map[ld.VersionedDataKind]map[string]ld.VersionedData

// newData makes flags of 1 KB each, and the segment that they ask for.
func newData(flags int) dataSet {
	data := dataSet{ld.Features: {}, ld.Segments: {}}
	for i := range flags {
		data[ld.Features][flagKey(i)] = newFlag(i)
	}
	data[ld.Segments]["beta-users"] = &ld.Segment{
		Key: "beta-users", Version: 1, Included: []string{"user-1", "user-2"}, Salt: "salt",
	}
	return data
}

// change gives the first flag a new version.
func change(data dataSet) {
	flag := *data[ld.Features][flagKey(0)].(*ld.FeatureFlag)
	flag.Version++
	data[ld.Features][flag.Key] = &flag
}

func flagKey(i int) string { return fmt.Sprintf("release-feature-%05d", i) }

func flagKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = flagKey(i)
	}
	return keys
}

// newFlag makes a flag that is on for some users, then by rules, then for a
// percentage. Each tenth has a prerequisite.
func newFlag(i int) *ld.FeatureFlag {
	flag := &ld.FeatureFlag{
		Key: flagKey(i), Version: 10 + i%50, On: true, Variations: []interface{}{true, false}, OffVariation: aws.Int(1),
		Salt: fmt.Sprintf("%032x", i), Sel: fmt.Sprintf("%032x", i+1),
		Targets: []ld.Target{{Values: []string{"user-1001", "user-1002", "user-1003", "user-1004"}, Variation: 0}},
		Rules: []ld.Rule{
			{ID: "8b7d5a3e-0d5c-4a4e-9d55-1f2e3d4c5b6a", VariationOrRollout: ld.VariationOrRollout{Variation: aws.Int(0)}, Clauses: []ld.Clause{
				{Attribute: "email", Op: "endsWith", Values: []interface{}{"@example.com", "@example.org"}},
				{Attribute: "country", Op: "in", Values: []interface{}{"de", "fr", "nl", "pl"}},
			}},
			{ID: "c0ffee00-5a3e-4d5c-8a4e-6a5b4c3d2e1f", VariationOrRollout: ld.VariationOrRollout{Variation: aws.Int(1)}, Clauses: []ld.Clause{
				{Attribute: "", Op: "segmentMatch", Values: []interface{}{"beta-users"}},
			}},
		},
		Fallthrough: ld.VariationOrRollout{Rollout: &ld.Rollout{
			Variations: []ld.WeightedVariation{{Variation: 0, Weight: 25000}, {Variation: 1, Weight: 75000}},
			BucketBy:   aws.String("key"),
		}},
	}
	if i%10 == 9 {
		flag.Prerequisites = []ld.Prerequisite{{Key: flagKey(i - 1), Variation: 0}}
	}
	return flag
}
