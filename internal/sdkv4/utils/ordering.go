package utils

import (
	"slices"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// orderedCollections puts the data in an order in which every item follows those that it refers to: whoever reads the
// store while it is being filled then finds them.
func orderedCollections(data map[ld.VersionedDataKind]map[string]ld.VersionedData) []StoreCollection {
	collections := make([]StoreCollection, 0, len(data))
	for kind, items := range data {
		collections = append(collections, StoreCollection{Kind: kind, Items: orderedItems(items)})
	}
	slices.SortFunc(collections, func(a, b StoreCollection) int { return rank(a.Kind) - rank(b.Kind) })
	return collections
}

func rank(kind ld.VersionedDataKind) int {
	switch kind {
	case ld.Segments:
		return 0
	case ld.Features:
		return 1
	default:
		return 2
	}
}

func orderedItems(items map[string]ld.VersionedData) []ld.VersionedData {
	o := itemOrder{
		items:   items,
		visited: make(map[string]bool, len(items)),
		ordered: make([]ld.VersionedData, 0, len(items)),
	}
	for key := range items {
		o.add(key)
	}
	return o.ordered
}

type itemOrder struct {
	items   map[string]ld.VersionedData
	visited map[string]bool
	ordered []ld.VersionedData
}

// add appends the item after its prerequisites. In a cycle one item has to come before one of its own.
func (o *itemOrder) add(key string) {
	item, found := o.items[key]
	if !found || o.visited[key] {
		return
	}
	o.visited[key] = true // before the prerequisites, or a cycle would never end
	if flag, ok := item.(*ld.FeatureFlag); ok {
		for _, prerequisite := range flag.Prerequisites {
			o.add(prerequisite.Key)
		}
	}
	o.ordered = append(o.ordered, item)
}
