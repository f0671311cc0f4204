package awsv2_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go/aws"
	v1 "github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/awsv2"
)

// attributeValues has one of each type.
var attributeValues = attributes{
	"S": {S: aws.String("é\x00\"<&>\u2028")}, "emptyS": {S: aws.String("")}, "N": {N: aws.String("-15.5")},
	"B": {B: []byte{0, 255}}, "emptyB": {B: []byte{}}, "BOOL": {BOOL: aws.Bool(false)}, "NULL": {NULL: aws.Bool(true)},
	"SS": {SS: aws.StringSlice([]string{"a", "b"})}, "NS": {NS: aws.StringSlice([]string{"1", "2"})},
	"BS": {BS: [][]byte{{1}, {2}}},
	"L":  {L: []*v1.AttributeValue{{S: aws.String("a")}, {M: attributes{"deep": {L: []*v1.AttributeValue{}}}}}},
	"M":  {M: attributes{"a": {N: aws.String("1")}}}, "emptyM": {M: attributes{}}, "emptyL": {L: []*v1.AttributeValue{}},
}

// fill sets every field that a value can have, at every depth.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[v1.AttributeValue]() {
			v.Set(reflect.ValueOf(v1.AttributeValue{M: attributeValues}))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		fill(element)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("name"), element)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(1234567)
	case reflect.Float64:
		v.SetFloat(1.5)
	default:
		panic(v.Type())
	}
}

func filled[T any]() *T {
	value := new(T)
	fill(reflect.ValueOf(value).Elem())
	return value
}

// calling has the four operations with given inputs.
func calling(t *testing.T, get *v1.GetItemInput, query *v1.QueryInput, put *v1.PutItemInput, batch *v1.BatchWriteItemInput,
) map[string]func(dynamodbiface.DynamoDBAPI) (any, error) {
	return map[string]func(dynamodbiface.DynamoDBAPI) (any, error){
		"GetItem":        func(c dynamodbiface.DynamoDBAPI) (any, error) { return c.GetItemWithContext(t.Context(), get) },
		"Query":          func(c dynamodbiface.DynamoDBAPI) (any, error) { return c.QueryWithContext(t.Context(), query) },
		"PutItem":        func(c dynamodbiface.DynamoDBAPI) (any, error) { return c.PutItemWithContext(t.Context(), put) },
		"BatchWriteItem": func(c dynamodbiface.DynamoDBAPI) (any, error) { return c.BatchWriteItemWithContext(t.Context(), batch) },
	}
}

// No parameter gets lost, of those that no store uses either.
func TestRequestsAreThoseOfV1(t *testing.T) {
	t.Parallel()
	for name, calls := range map[string]map[string]func(dynamodbiface.DynamoDBAPI) (any, error){
		"everything": calling(t, filled[v1.GetItemInput](), filled[v1.QueryInput](), filled[v1.PutItemInput](), filled[v1.BatchWriteItemInput]()),
		"little": calling(t, &v1.GetItemInput{TableName: aws.String("t"), Key: attributes{}}, &v1.QueryInput{TableName: aws.String("t")},
			&v1.PutItemInput{TableName: aws.String("t"), Item: attributes{}},
			&v1.BatchWriteItemInput{RequestItems: map[string][]*v1.WriteRequest{"t": {}, "u": {{}}}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, answer(http.StatusOK, `{"Items":[],"UnprocessedItems":{}}`))
			both := clients(t, s.URL, 1)
			for action, call := range calls {
				for _, sdk := range []string{"v1", "v2"} {
					_, err := call(both[sdk])
					require.NoError(t, err, action)
				}
				requests, bodies := s.recorded(action)
				require.Len(t, bodies, 2)
				assert.JSONEq(t, bodies[0], bodies[1], action)
				assert.Equal(t, requests[0].Header.Get("X-Amz-Target"), requests[1].Header.Get("X-Amz-Target"))
				assert.Contains(t, requests[1].UserAgent(), "aws-sdk-go-v2/")
			}
		})
	}
}

func TestInvalidInputsAreRefusedAsByV1(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(http.StatusOK, "{}"))
	both := clients(t, s.URL, 1)
	for action, call := range calling(t, &v1.GetItemInput{}, &v1.QueryInput{}, &v1.PutItemInput{}, &v1.BatchWriteItemInput{}) {
		_, want := call(both["v1"])
		output, err := call(both["v2"])
		require.Error(t, want)
		assert.Equal(t, want.Error(), err.Error(), action)
		assert.False(t, reflect.ValueOf(output).IsNil(), action)
	}
	assert.Empty(t, s.requests)
}

func TestResponsesAreThoseOfV1(t *testing.T) {
	t.Parallel()
	for action, output := range map[string]any{
		"GetItem": filled[v1.GetItemOutput](), "Query": filled[v1.QueryOutput](), "PutItem": filled[v1.PutItemOutput](),
		"BatchWriteItem": filled[v1.BatchWriteItemOutput](),
	} {
		body, err := json.Marshal(withoutNulls(t, output))
		require.NoError(t, err)
		for name, text := range map[string]string{"everything": string(body), "nothing": `{"Items":[],"UnprocessedItems":{}}`,
			"unknown fields": `{"Items":[],"UnprocessedItems":{},"New":{"a":[1]}}`} {
			both := clients(t, serve(t, answer(http.StatusOK, text)).URL, 1)
			want, err := calls[action](t.Context(), both["v1"])
			require.NoError(t, err)
			got, err := calls[action](t.Context(), both["v2"])
			require.NoError(t, err, text)
			assert.Equal(t, want, got, "%s, %s", action, name)
		}
	}
}

// withoutNulls makes JSON as DynamoDB sends it.
func withoutNulls(t *testing.T, output any) any {
	t.Helper()
	encoded, err := json.Marshal(output)
	require.NoError(t, err)
	var decoded any
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	var clean func(any)
	clean = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, inner := range value {
				if inner == nil {
					delete(value, name)
				}
				clean(inner)
			}
		case []any:
			for _, inner := range value {
				clean(inner)
			}
		}
	}
	clean(decoded)
	return decoded
}

// An item of every type is written and read through both SDKs.
func TestItemsAreThoseOfV1(t *testing.T) {
	t.Parallel()
	s := serveTable(t)
	both := clients(t, s.URL, 1)
	for sdk, client := range both {
		written := item(sdk)
		for name, value := range attributeValues {
			written[name] = value
		}
		_, err := client.PutItemWithContext(t.Context(), &v1.PutItemInput{TableName: &s.table, Item: written})
		require.NoError(t, err)
		for _, reader := range both {
			read, err := reader.GetItemWithContext(t.Context(), &v1.GetItemInput{TableName: &s.table, Key: item(sdk)})
			require.NoError(t, err)
			assert.Equal(t, written, read.Item)
		}
	}
}

// An application counts what its requests consume with a middleware of its own, and
// a store's outputs have it too.
func TestConsumedCapacity(t *testing.T) {
	t.Parallel()
	s := serveTable(t)
	var counted float64
	count := func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("count", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			parameters := reflect.ValueOf(in.Parameters).Elem()
			parameters.FieldByName("ReturnConsumedCapacity").Set(reflect.ValueOf(types.ReturnConsumedCapacityTotal))
			out, metadata, err := next.HandleInitialize(ctx, in)
			switch result := out.Result.(type) {
			case *dynamodb.QueryOutput:
				counted += *result.ConsumedCapacity.CapacityUnits
			case *dynamodb.BatchWriteItemOutput:
				counted += *result.ConsumedCapacity[0].CapacityUnits
			}
			return out, metadata, err
		}), middleware.After)
	}
	client := awsv2.New(newV2(t, s.URL, 1, func(o *dynamodb.Options) { o.APIOptions = append(o.APIOptions, count) }))
	output, err := client.BatchWriteItemWithContext(t.Context(), &v1.BatchWriteItemInput{
		RequestItems: map[string][]*v1.WriteRequest{s.table: {{PutRequest: &v1.PutRequest{Item: item("a")}}}},
	})
	require.NoError(t, err)
	require.Len(t, output.ConsumedCapacity, 1)
	assert.InDelta(t, 1, *output.ConsumedCapacity[0].CapacityUnits, 0.001)
	page, err := client.QueryWithContext(t.Context(), &v1.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("#n = :n"),
		ExpressionAttributeNames:  aws.StringMap(map[string]string{"#n": "namespace"}),
		ExpressionAttributeValues: attributes{":n": {S: aws.String("features")}},
	})
	require.NoError(t, err)
	assert.InDelta(t, 1, *page.ConsumedCapacity.CapacityUnits, 0.001)
	assert.InDelta(t, 2, counted, 0.001)
}

// Methods that no store calls return at once, and send nothing.
func TestOtherMethodsReturnAnError(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(http.StatusOK, "{}"))
	client := reflect.ValueOf(clients(t, s.URL, 1)["v2"])
	interfaceType := reflect.TypeFor[dynamodbiface.DynamoDBAPI]()
	supported := map[string]bool{"GetItemWithContext": true, "QueryWithContext": true, "PutItemWithContext": true,
		"BatchWriteItemWithContext": true}
	ended := make(chan bool)
	go func() {
		defer close(ended)
		for i := range interfaceType.NumMethod() {
			if method := interfaceType.Method(i); !supported[method.Name] {
				err := callMethod(t, client.MethodByName(method.Name))
				assert.ErrorContains(t, err, "UnsupportedOperation", method.Name)
			}
		}
	}()
	select {
	case <-ended:
	case <-time.After(hangGuard):
		assert.Fail(t, "a method waits")
	}
	assert.Empty(t, s.requests)
}

// callMethod calls a method with inputs that are valid, and returns its error or that
// of the request that it makes.
func callMethod(t *testing.T, method reflect.Value) error {
	t.Helper()
	var arguments []reflect.Value
	for i := range method.Type().NumIn() {
		switch parameter := method.Type().In(i); {
		case method.Type().IsVariadic() && i == method.Type().NumIn()-1:
		case parameter == reflect.TypeFor[aws.Context]():
			arguments = append(arguments, reflect.ValueOf(t.Context()))
		default:
			arguments = append(arguments, reflect.Zero(parameter))
			if parameter.Kind() == reflect.Pointer {
				arguments[i] = reflect.New(parameter.Elem())
			}
		}
	}
	results := method.Call(arguments)
	if request, ok := results[0].Interface().(interface{ Send() error }); ok {
		return request.Send()
	}
	err, _ := results[len(results)-1].Interface().(error)
	return err
}

func TestNewRefusesNil(t *testing.T) {
	t.Parallel()
	assert.Nil(t, awsv2.New(nil))
}
