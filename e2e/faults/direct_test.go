package faults_test

import (
	"fmt"
	"hash/crc32"
	"maps"

	"github.com/stretchr/testify/assert"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

const (
	// checkout is the flag that changes all the time, and is evaluated.
	checkout = "checkout"
	// initialFlags make an Init of several batches.
	initialFlags = 40
)

// A directApp uses stores as the SDK would, but for what the SDK does after an
// outage: one as a process does that is connected to LaunchDarkly, and one as in
// daemon mode. A store that caches for ever never sees what others write, so then
// it is the first one only.
type directApp struct {
	f         *fixture
	fault     fault
	connected ld.FeatureStore
	stores    []ld.FeatureStore

	version int                                                  // of the latest change at LaunchDarkly
	data    map[ld.VersionedDataKind]map[string]ld.VersionedData // what LaunchDarkly has
	updates updateCount
}

func newDirectApp(f *fixture, mode mode, fault fault) application {
	a := &directApp{f: f, fault: fault, connected: f.newDeprecatedStore()}
	a.stores = append(a.stores, a.connected)
	a.replaceAll()
	if mode != forever {
		a.stores = append(a.stores, f.newStore())
	}
	return a
}

// replaceAll has LaunchDarkly send everything in a new version.
func (a *directApp) replaceAll() {
	a.version++
	a.data = map[ld.VersionedDataKind]map[string]ld.VersionedData{
		ld.Features: {checkout: newFlag(checkout, a.version), "old-banner": newFlag("old-banner", a.version)},
		ld.Segments: {"beta-testers": &ld.Segment{Key: "beta-testers", Version: a.version}},
	}
	for i := range initialFlags {
		key := fmt.Sprintf("flag-%d", i)
		a.data[ld.Features][key] = newFlag(key, a.version)
	}
	a.init()
}

func newFlag(key string, version int) *ld.FeatureFlag {
	return &ld.FeatureFlag{Key: key, Version: version, On: true, Salt: saltOf(version), Variations: []interface{}{true, false}}
}

// saltOf lets a test see that a version is not just a wrong number.
func saltOf(version int) string {
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE(fmt.Append(nil, version)))
}

// init sends what LaunchDarkly sends at a connection.
func (a *directApp) init() { a.check(a.connected.Init(a.withoutDeleted())) }

// withoutDeleted is everything but what LaunchDarkly has deleted.
func (a *directApp) withoutDeleted() map[ld.VersionedDataKind]map[string]ld.VersionedData {
	data := make(map[ld.VersionedDataKind]map[string]ld.VersionedData)
	for kind, items := range a.data {
		data[kind] = make(map[string]ld.VersionedData)
		for key, item := range items {
			if !item.IsDeleted() {
				data[kind][key] = item
			}
		}
	}
	return data
}

// update has LaunchDarkly send an update of each sort.
func (a *directApp) update() {
	a.version++
	a.upsert(ld.Features, newFlag(checkout, a.version))
	a.upsert(ld.Features, newFlag("new-banner", a.version))
	a.upsert(ld.Features, ld.Features.MakeDeletedItem("old-banner", a.version))
	a.upsert(ld.Segments, &ld.Segment{Key: "beta-testers", Version: a.version, Included: []string{"alice"}})
}

func (a *directApp) upsert(kind ld.VersionedDataKind, item ld.VersionedData) {
	a.data[kind][item.GetKey()] = item
	err := a.connected.Upsert(kind, item)
	a.check(err)
	a.updates.add(a.f, kind, item, err)
}

func (a *directApp) check(err error) {
	if err != nil {
		assert.ErrorContains(a.f.t, err, a.fault.says)
	}
}

// evaluations are the ways to evaluate checkout.
func (a *directApp) evaluations() []evaluation {
	var ways []evaluation
	for i, store := range a.stores {
		p := process(i)
		ways = append(ways, evaluation{p, func() answer {
			item, err := store.Get(ld.Features, checkout)
			return a.judge(item, err)
		}}, evaluation{p, func() answer {
			items, err := store.All(ld.Features)
			if err == nil && len(items) < initialFlags {
				return absent // at least some of them are
			}
			return a.judge(items[checkout], err)
		}})
	}
	return ways
}

func (a *directApp) judge(item ld.VersionedData, err error) answer {
	switch {
	case err != nil:
		a.check(err)
		return failed
	case item == nil:
		return absent
	}
	if item.(*ld.FeatureFlag).Salt != saltOf(item.GetVersion()) {
		assert.Fail(a.f.t, "a flag that LaunchDarkly never had", "%+v", item)
	}
	if item.GetVersion() < a.version {
		return lastKnown
	}
	return newest
}

// settle has the table take everything. A store that has lost responses may not know
// yet that it does, and would say at Close that items are lost.
func (a *directApp) settle() {
	awaitNoProblem(a.f.t, func() string {
		if err := a.connected.Init(a.withoutDeleted()); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (a *directApp) counted() updateCount { return a.updates }

// problem tells what is not as LaunchDarkly has it, in a store or the table.
func (a *directApp) problem() string {
	expected := a.expected()
	for i, store := range a.stores {
		served, err := served(store)
		if err != nil {
			return fmt.Sprintf("store %d: %s", i, err)
		}
		if !maps.Equal(expected, served) {
			return fmt.Sprintf("store %d has %v, should have %v", i, served, expected)
		}
	}
	rows := a.f.rows()
	if _, inited := rows["$inited/$inited"]; !inited {
		return "the table does not say that it is complete"
	}
	delete(rows, "$inited/$inited")
	a.addDeleted(expected, rows)
	if !maps.Equal(expected, rows) {
		return fmt.Sprintf("the table has %v, should have %v", rows, expected)
	}
	return ""
}

// expected has the versions of what LaunchDarkly has, by "namespace/key".
func (a *directApp) expected() map[string]int {
	expected := make(map[string]int)
	for kind, items := range a.data {
		for key, item := range items {
			if !item.IsDeleted() {
				expected[kind.GetNamespace()+"/"+key] = item.GetVersion()
			}
		}
	}
	return expected
}

// addDeleted expects deleted items where the table has rows of them. An Init
// removes them.
func (a *directApp) addDeleted(expected, rows map[string]int) {
	for kind, items := range a.data {
		for key, item := range items {
			name := kind.GetNamespace() + "/" + key
			if _, there := rows[name]; there && item.IsDeleted() {
				expected[name] = item.GetVersion()
			}
		}
	}
}

// served has the versions that a store serves in All, and sees that Get serves
// the same of what changes.
func served(store ld.FeatureStore) (map[string]int, error) {
	served := make(map[string]int)
	for _, kind := range ld.VersionedDataKinds {
		items, err := store.All(kind)
		if err != nil {
			return nil, err
		}
		for key, item := range items {
			served[kind.GetNamespace()+"/"+key] = item.GetVersion()
		}
		for _, key := range []string{checkout, "old-banner", "new-banner", "beta-testers"} {
			item, err := store.Get(kind, key)
			if err != nil {
				return nil, err
			}
			if item != nil && items[key] == nil || items[key] != nil && (item == nil || item.GetVersion() != items[key].GetVersion()) {
				return nil, fmt.Errorf("Get and All disagree about %s", key)
			}
		}
	}
	return served, nil
}
