// KINESIS, FIREHOSE, EVENTBRIDGE and LAMBDA: one signed HTTP request for each event, so that no SDK is needed, and
// connections, deadlines and the egress guard are those of every delivery. What AWS answers is told apart by its error
// codes: throttling is 429 whatever its status, and what people can mend (keys, names, rights) is never the event's fault.

import { createHash } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import { booleanOf, recordOf, textOf } from '../config-values.ts';
import type { DeliveryOutcome } from '../delivery.ts';
import {
  type CustomMessage,
  type CustomType,
  misconfigured,
  outcomeOf,
  refused,
  succeeded,
  throttled,
} from './sender.ts';

interface AwsCall {
  service: string;
  host: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

type Config = Readonly<Record<string, unknown>>;
type AwsRequest = (message: CustomMessage, config: Config, region: string) => AwsCall | string;

export const awsTypes: readonly CustomType[] = [
  awsType('KINESIS', ({ message, userId }, config, region) => ({
    service: 'kinesis',
    host: `kinesis.${region}.amazonaws.com`,
    ...target('Kinesis_20131202.PutRecord', {
      StreamName: textOf(config.stream),
      PartitionKey: textOf(userId),
      Data: Buffer.from(JSON.stringify(message)).toString('base64'),
    }),
  })),
  awsType('FIREHOSE', ({ message, deliveryStreamMapTo }, _config, region) => ({
    service: 'firehose',
    host: `firehose.${region}.amazonaws.com`,
    ...target('Firehose_20150804.PutRecord', {
      DeliveryStreamName: textOf(deliveryStreamMapTo),
      Record: { Data: Buffer.from(JSON.stringify(message)).toString('base64') },
    }),
  })),
  awsType('EVENTBRIDGE', (message, _config, region) => ({
    service: 'events',
    host: `events.${region}.amazonaws.com`,
    ...target('AWSEvents.PutEvents', { Entries: [message] }),
  })),
  awsType('LAMBDA', ({ payload }, config, region) => {
    const name = textOf(config.lambda);
    if (typeof payload !== 'string' || name === '') return 'expected a payload, and a function in the settings';
    const context = textOf(config.clientContext);
    return {
      service: 'lambda',
      host: `lambda.${region}.amazonaws.com`,
      path: `/2015-03-31/functions/${encodeURIComponent(name)}/invocations`,
      headers: {
        'Content-Type': 'application/json',
        'X-Amz-Invocation-Type': textOf(config.invocationType, 'Event'),
        ...(context === '' ? {} : { 'X-Amz-Client-Context': Buffer.from(context).toString('base64') }),
      },
      body: payload,
    };
  }),
];

function awsType(name: string, callOf: AwsRequest): CustomType {
  return {
    name,
    async open({ config }, { http, nowMs }) {
      const region = textOf(config.region);
      const [accessKeyId, secretAccessKey] = [textOf(config.accessKeyID), textOf(config.secretAccessKey)];
      if (!/^[a-z0-9-]+$/.test(region)) throw new Error('expected region to be one like eu-west-1');
      if (booleanOf(config.roleBasedAuth, false)) throw new Error('this version signs by keys only, not by roles');
      if (accessKeyId === '' || secretAccessKey === '') throw new Error('expected accessKeyID and secretAccessKey');
      return {
        async send(message) {
          const call = callOf(message, config, region);
          if (typeof call === 'string') return outcomeOf(refused, call);
          const { service, host, path, headers, body } = call;
          const endpoint = `https://${host}${path}`;
          const hash = createHash('sha256').update(body).digest('hex');
          const signer = new AwsV4Signer({
            method: 'POST',
            url: endpoint,
            headers: { ...headers, 'X-Amz-Content-Sha256': hash },
            body,
            accessKeyId,
            secretAccessKey,
            service,
            region,
            datetime: new Date(nowMs()).toISOString().replace(/[:-]|\.\d{3}/g, ''),
          });
          const signed = await signer.sign();
          const request = { method: 'POST', endpoint, headers: Object.fromEntries(signed.headers), params: {} };
          return awsOutcome(name, await http({ ...request, format: 'JSON' }, Buffer.from(body)));
        },
        close: () => Promise.resolve(),
      };
    },
  };
}

function target(action: string, body: object): Pick<AwsCall, 'path' | 'headers' | 'body'> {
  const headers = { 'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': action };
  return { path: '/', headers, body: JSON.stringify(body) };
}

const throttling = /Throttl|ProvisionedThroughputExceeded|TooManyRequests|LimitExceeded|SlowDown/;
/** Keys, rights, names and clocks. */
const mendable =
  /AccessDenied|UnrecognizedClient|InvalidSignature|IncompleteSignature|MissingAuthentication|InvalidClientToken|SignatureDoesNotMatch|ExpiredToken|RequestExpired|ResourceNotFound|NotAuthorized|OptInRequired|KMS/;
const passing = /InternalFailure|InternalException|ServiceUnavailable|InternalError/;

/** What an answer of AWS counts as. */
export function awsOutcome(type: string, outcome: DeliveryOutcome): DeliveryOutcome {
  const { code, response, headers = {} } = outcome;
  const answer = parsed(response);
  if (code >= 200 && code < 300) {
    if (type === 'LAMBDA' && headers['x-amz-function-error'] !== undefined) {
      return { ...outcome, code: refused, response: `the function failed: ${response}` };
    }
    const failed = type === 'EVENTBRIDGE' && Number(answer.FailedEntryCount ?? 0) > 0;
    if (!failed) return { ...outcome, code: succeeded, response: '' };
    const [entry] = Array.isArray(answer.Entries) ? answer.Entries : [];
    const { ErrorCode: error, ErrorMessage: message } = recordOf(entry);
    return { ...outcome, code: codeOf(String(error ?? ''), refused), response: `${error}: ${message}` };
  }
  const name = textOf(answer.__type, textOf(answer.code, String(headers['x-amzn-errortype'] ?? '')));
  return code < 300 || code >= 500 ? outcome : { ...outcome, code: codeOf(`${name} ${response}`, code) };
}

function codeOf(error: string, otherwise: number): number {
  if (throttling.test(error)) return throttled;
  if (passing.test(error)) return 500;
  return mendable.test(error) ? misconfigured : otherwise;
}

function parsed(text: string): Record<string, unknown> {
  try {
    return recordOf(JSON.parse(text));
  } catch {
    return {};
  }
}
