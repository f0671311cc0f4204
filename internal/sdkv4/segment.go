package ldclient

// Segment is a group of users that flags refer to.
type Segment struct {
	Key      string        `json:"key"`
	Included []string      `json:"included"`
	Excluded []string      `json:"excluded"`
	Salt     string        `json:"salt"`
	Rules    []SegmentRule `json:"rules"`
	Version  int           `json:"version"`
	Deleted  bool          `json:"deleted"`
}

// GetKey returns the segment's key.
func (s *Segment) GetKey() string { return s.Key }

// GetVersion returns the segment's version.
func (s *Segment) GetVersion() int { return s.Version }

// IsDeleted tells whether the segment only marks a deletion.
func (s *Segment) IsDeleted() bool { return s.Deleted }

// SegmentRule puts the users who match all of its clauses, or a share of them, into a segment.
type SegmentRule struct {
	Id       string   `json:"id,omitempty"`
	Clauses  []Clause `json:"clauses"`
	Weight   *int     `json:"weight,omitempty"`
	BucketBy *string  `json:"bucketBy,omitempty"`
}
