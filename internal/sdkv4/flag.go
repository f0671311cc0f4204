package ldclient

// FeatureFlag is a flag with all that its evaluation needs.
type FeatureFlag struct {
	Key                    string                  `json:"key"`
	Version                int                     `json:"version"`
	On                     bool                    `json:"on"`
	TrackEvents            bool                    `json:"trackEvents"`
	TrackEventsFallthrough bool                    `json:"trackEventsFallthrough"`
	Deleted                bool                    `json:"deleted"`
	Prerequisites          []Prerequisite          `json:"prerequisites"`
	Salt                   string                  `json:"salt"`
	Sel                    string                  `json:"sel"`
	Targets                []Target                `json:"targets"`
	Rules                  []Rule                  `json:"rules"`
	Fallthrough            VariationOrRollout      `json:"fallthrough"`
	OffVariation           *int                    `json:"offVariation"`
	Variations             []interface{}           `json:"variations"`
	DebugEventsUntilDate   *uint64                 `json:"debugEventsUntilDate"`
	ClientSide             bool                    `json:"clientSide"`
	ClientSideAvailability *ClientSideAvailability `json:"clientSideAvailability,omitempty"`
}

// GetKey returns the flag's key.
func (f *FeatureFlag) GetKey() string { return f.Key }

// GetVersion returns the flag's version.
func (f *FeatureFlag) GetVersion() int { return f.Version }

// IsDeleted tells whether the flag only marks a deletion.
func (f *FeatureFlag) IsDeleted() bool { return f.Deleted }

// Prerequisite is a variation that another flag must have.
type Prerequisite struct {
	Key       string `json:"key"`
	Variation int    `json:"variation"`
}

// Target gives a variation to users by their keys.
type Target struct {
	Values    []string `json:"values"`
	Variation int      `json:"variation"`
}

// Rule gives a variation or a rollout to the users who match all of its clauses.
type Rule struct {
	ID string `json:"id,omitempty"`
	VariationOrRollout
	Clauses     []Clause `json:"clauses"`
	TrackEvents bool     `json:"trackEvents"`
}

// VariationOrRollout is one of the two; the other is nil.
type VariationOrRollout struct {
	Variation *int     `json:"variation,omitempty"`
	Rollout   *Rollout `json:"rollout,omitempty"`
}

// Rollout spreads users over variations.
type Rollout struct {
	Variations []WeightedVariation `json:"variations"`
	BucketBy   *string             `json:"bucketBy,omitempty"`
}

// WeightedVariation is a variation's share of a Rollout, in thousandths of a percent.
type WeightedVariation struct {
	Variation int `json:"variation"`
	Weight    int `json:"weight"`
}

// Clause is a test of one attribute of a user.
type Clause struct {
	Attribute string        `json:"attribute"`
	Op        Operator      `json:"op"`
	Values    []interface{} `json:"values"`
	Negate    bool          `json:"negate"`
}

// Operator names the comparison that a Clause makes.
type Operator string

// ClientSideAvailability tells which client-side SDKs may see a flag.
type ClientSideAvailability struct {
	UsingMobileKey     bool `json:"usingMobileKey"`
	UsingEnvironmentID bool `json:"usingEnvironmentId"`
}
