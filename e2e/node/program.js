'use strict';

// Runs the SDK for Node.js on a DynamoDB table. The argument is a JSON object:
//
//   endpoint, table, prefix: where the flags are
//   maxRetries: of the AWS SDK
//   stream: the URL that flags come from; daemon mode where it is missing
//
// It prints a line when it is ready. Then it answers each line of its input,
// {"flags": [KEY...], "users": [USER...]}, with a line that says what the flags
// are for the users. It ends with its input.

const readline = require('readline');
const LaunchDarkly = require('launchdarkly-node-server-sdk');
const { DynamoDBFeatureStore } = require('launchdarkly-node-server-sdk-dynamodb');

const { endpoint, table, prefix, stream, maxRetries } = JSON.parse(process.argv[2]);

function makeClient() {
  return LaunchDarkly.init('sdk-test', {
    featureStore: DynamoDBFeatureStore(table, {
      prefix,
      clientOptions: {
        endpoint,
        region: 'us-east-1',
        credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
        maxRetries,
      },
    }),
    useLdd: !stream,
    baseUri: stream,
    streamUri: stream,
    streamInitialReconnectDelay: 0.1,
    sendEvents: false,
    diagnosticOptOut: true,
    logger: LaunchDarkly.basicLogger({ level: 'warn' }),
  });
}

// In the same order as the Go package evaluation: users within flags.
async function evaluate(client, { flags, users }) {
  const results = [];
  for (const flag of flags) {
    for (const user of users) {
      const { value, variationIndex, reason } = await client.variationDetail(flag, user, null);
      results.push({ flag, user: user.key, value, variation: variationIndex, reason });
    }
  }
  return results;
}

async function main() {
  const client = makeClient();
  await client.waitForInitialization();
  console.log('ready');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await evaluate(client, JSON.parse(line))));
  }
  client.close();
}

main().then(
  () => process.exit(0), // AWS connections would keep it going
  error => {
    console.error(error);
    process.exit(1);
  }
);
