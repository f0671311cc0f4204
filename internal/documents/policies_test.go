package documents

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
)

// What the policies are filled in with.
const (
	tableARN = "arn:aws:dynamodb:us-east-1:123456789012:table/flags"
	keyARN   = "arn:aws:kms:us-east-1:123456789012:key/flags"
	prefix   = "production"
)

// readPolicies reads the policies of deploy by their name, and puts the values
// in as Terraform does.
func readPolicies(t *testing.T, prefix string) map[string]policy {
	t.Helper()
	paths, err := filepath.Glob(deployPath("policies/*.json"))
	require.NoError(t, err)
	policies := make(map[string]policy)
	values := strings.NewReplacer("${table_arn}", tableARN, "${key_arn}", keyARN, "${prefix}", prefix)
	for _, path := range paths {
		policies[strings.TrimSuffix(filepath.Base(path), ".json")] = parsePolicy(t, values.Replace(readFile(t, path)))
	}
	return policies
}

// readTablePolicies leaves out the policy for the key that encrypts the table.
func readTablePolicies(t *testing.T, prefix string) map[string]policy {
	t.Helper()
	policies := readPolicies(t, prefix)
	for _, name := range []string{"read-only", "read-write", "one-prefix-read-only", "one-prefix", "use-key"} {
		require.Contains(t, policies, name)
	}
	delete(policies, "use-key")
	return policies
}

// The names of the policies say what they are for.
func isReadOnly(name string) bool { return strings.Contains(name, "read-only") }
func isConfined(name string) bool { return strings.Contains(name, "prefix") }

// A store does its work under a policy, and uses each action that it allows. The
// test takes IAM's place in front of DynamoDB Local.
func TestPoliciesAreEnoughAndNoMore(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", prefix, "a:*"} {
		for name, policy := range readTablePolicies(t, prefix) {
			if prefix == "" && isConfined(name) {
				continue
			}
			t.Run(fmt.Sprintf("%s, prefix %q", name, prefix), func(t *testing.T) {
				t.Parallel()
				table := createTable(t, tableOfFile(t))
				require.NoError(t, write(newStore(t, table, lddynamodb.DynamoClient(newClient(t, http.DefaultTransport)))))
				enforced, refused := enforce(policy)
				client := lddynamodb.DynamoClient(newClient(t, enforced))
				store := newStore(t, table, client, lddynamodb.Prefix(prefix))

				if !isReadOnly(name) {
					require.NoError(t, write(store))
				}
				require.NoError(t, read(newStore(t, table, client, lddynamodb.Prefix(prefix))))

				assert.Zero(t, refused.Load())
				assert.ElementsMatch(t, policy.actions(), slices.Collect(maps.Keys(enforced.actions)))
			})
		}
	}
}

func TestReadOnlyPoliciesRefuseWrites(t *testing.T) {
	t.Parallel()
	for name, policy := range readTablePolicies(t, prefix) {
		if isReadOnly(name) {
			enforced, _ := enforce(policy)
			store := newStore(t, createTable(t, tableOfFile(t)), lddynamodb.DynamoClient(newClient(t, enforced)), lddynamodb.Prefix(prefix))

			require.ErrorContains(t, store.Upsert(ld.Features, &ld.FeatureFlag{Key: "a", Version: 1}), "AccessDeniedException")
			require.ErrorContains(t, write(store), "AccessDeniedException")
		}
	}
}

// The prefixes could be taken for one another, or for what follows a prefix.
func TestPoliciesForOnePrefixRefuseTheOthers(t *testing.T) {
	t.Parallel()
	prefixes := []string{"a", "aa", "a:", ":a", "a:a", "a:features", "features", "$inited", "*", "a*", "a?"}
	for _, prefix := range prefixes {
		for name, policy := range readTablePolicies(t, prefix) {
			if !isConfined(name) {
				continue
			}
			for _, other := range append(prefixes, "") {
				if other == prefix {
					continue
				}
				enforced, _ := enforce(policy)
				store := newStore(t, "no-table", lddynamodb.DynamoClient(newClient(t, enforced)), lddynamodb.Prefix(other))
				assert.False(t, store.Initialized())
				for _, kind := range ld.VersionedDataKinds {
					_, err := store.Get(kind, "a")
					require.ErrorContains(t, err, "AccessDeniedException", "%q under the policy for %q", other, prefix)
					_, err = store.All(kind)
					require.ErrorContains(t, err, "AccessDeniedException")
				}
				require.ErrorContains(t, store.Upsert(ld.Features, &ld.FeatureFlag{Key: "a", Version: 1}), "AccessDeniedException")
				require.ErrorContains(t, write(store), "AccessDeniedException")
			}
		}
	}
}

// The values of a set operator are none where a request has no partition key.
func TestPoliciesForOnePrefixNeedAPartitionKey(t *testing.T) {
	t.Parallel()
	for name, policy := range readTablePolicies(t, prefix) {
		for _, action := range policy.actions() {
			assert.Equal(t, !isConfined(name), policy.allows(action, nil), "%s, %s", name, action)
		}
	}
}

func TestPoliciesAreTheSameInCloudFormation(t *testing.T) {
	t.Parallel()
	var policies []policy
	for _, resource := range readTemplate(t).ofType("AWS::IAM::ManagedPolicy") {
		var properties struct{ PolicyDocument policy }
		resource.decode(t, &properties)
		policies = append(policies, properties.PolicyDocument)
	}
	assert.ElementsMatch(t, slices.Collect(maps.Values(readPolicies(t, prefix))), policies)
}

func TestPoliciesAreTheSameInTerraform(t *testing.T) {
	t.Parallel()
	var policies []policy
	for _, resource := range terraformResources(t, "aws_iam_policy") {
		require.Contains(t, resource.Attributes, "policy")
		policies = append(policies, parsePolicy(t, evaluateTerraform(t, resource.Attributes["policy"].Expr)))
	}
	assert.ElementsMatch(t, slices.Collect(maps.Values(readPolicies(t, prefix))), policies)
}

// A policy that a document shows is one of those in deploy, but for its table.
func TestPoliciesAreTheSameInDocuments(t *testing.T) {
	t.Parallel()
	for _, path := range documentPaths(t) {
		for _, block := range codeBlocks(readFile(t, path), "json") {
			require.True(t, json.Valid([]byte(block)), "%s: %s", path, block)
			if !strings.Contains(block, `"Statement"`) {
				continue
			}
			shown := parsePolicy(t, block)
			for i := range shown.Statement {
				shown.Statement[i].Resource = texts{tableARN}
			}
			assert.Contains(t, slices.Collect(maps.Values(readPolicies(t, prefix))), shown, path)
		}
	}
}

// enforce makes a gate that refuses what a policy does not allow, and counts it.
func enforce(p policy) (enforced *gate, refused *atomic.Int64) {
	refused = new(atomic.Int64)
	return &gate{answer: func(action string, body []byte) *http.Response {
		if p.allows("dynamodb:"+action, partitionKeys(body)) {
			return nil
		}
		refused.Add(1)
		return refusal("AccessDeniedException", "not authorized to perform: dynamodb:"+action)
	}}, refused
}

// partitionKeys are what a request asks for.
func partitionKeys(body []byte) []string {
	type attributes = map[string]*dynamodb.AttributeValue
	var input struct {
		Key, Item, ExpressionAttributeValues attributes
		RequestItems                         map[string][]*dynamodb.WriteRequest
	}
	if err := json.Unmarshal(body, &input); err != nil {
		panic(err) // the AWS SDK made it
	}
	named := []*dynamodb.AttributeValue{
		input.Key["namespace"], input.Item["namespace"], input.ExpressionAttributeValues[":namespace"],
	}
	for _, requests := range input.RequestItems {
		for _, request := range requests {
			if request.PutRequest != nil {
				named = append(named, request.PutRequest.Item["namespace"])
			} else {
				named = append(named, request.DeleteRequest.Key["namespace"])
			}
		}
	}
	var keys []string
	for _, key := range named {
		if key != nil {
			keys = append(keys, *key.S)
		}
	}
	return keys
}
