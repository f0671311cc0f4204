package localtable

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
)

// Row is one row as it is in the table. The row that says that the data set is
// complete has neither a version nor an item.
type Row struct {
	Namespace, Key string
	Version        int
	Item           string // JSON
}

// Rows reads the whole table, ordered by namespace and key.
func (t *Table) Rows() ([]Row, error) {
	var rows []Row
	input := &dynamodb.ScanInput{TableName: aws.String(t.Name), ConsistentRead: aws.Bool(true)}
	err := t.client.ScanPages(input, func(page *dynamodb.ScanOutput, _ bool) bool {
		for _, attributes := range page.Items {
			rows = append(rows, fromAttributes(attributes))
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("reading the rows of table %s: %w", t.Name, err)
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Key, b.Key))
	})
	return rows, nil
}

// Row reads one row, and returns nil where there is none.
func (t *Table) Row(namespace, key string) (*Row, error) {
	output, err := t.client.GetItem(&dynamodb.GetItemInput{
		TableName: aws.String(t.Name),
		Key: map[string]*dynamodb.AttributeValue{
			"namespace": {S: aws.String(namespace)},
			"key":       {S: aws.String(key)},
		},
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s %s of table %s: %w", namespace, key, t.Name, err)
	}
	if output.Item == nil {
		return nil, nil
	}
	row := fromAttributes(output.Item)
	return &row, nil
}

func fromAttributes(attributes map[string]*dynamodb.AttributeValue) Row {
	row := Row{
		Namespace: aws.StringValue(attributes["namespace"].S),
		Key:       aws.StringValue(attributes["key"].S),
	}
	if item := attributes["item"]; item != nil {
		row.Item = aws.StringValue(item.S)
	}
	if version := attributes["version"]; version != nil {
		row.Version, _ = strconv.Atoi(aws.StringValue(version.N)) // DynamoDB holds only numbers in N
	}
	return row
}
