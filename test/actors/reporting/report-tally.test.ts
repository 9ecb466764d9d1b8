// What a commit reports: added up by place and kind, with few and small examples, and with a bounded number of names
// however many a client invents.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Settings, settingsSchema } from '../../../actors/config.ts';
import { EventNames, otherEventName, shortEventName } from '../../../actors/observations/event-names.ts';
import type { ReportPlace } from '../../../actors/reporting/contract.ts';
import { DeliveryReports } from '../../../actors/reporting/delivery-reports.ts';
import {
  ExampleGate,
  exampleOf,
  ReportTally,
  reportingPlace,
  violationsOf,
} from '../../../actors/reporting/report-tally.ts';
import { WorkspaceHolder } from '../../../actors/services/workspace.ts';
import { loadConfig } from '../../../runtime/index.ts';
import { makeDestination, makeSnapshot, makeSource } from '../../support/workspace-objects.ts';

const place: ReportPlace = {
  workspaceId: 'ws-1',
  sourceId: 'src-1',
  sourceDefinitionId: '',
  sourceCategory: '',
  sourceTaskRunId: '',
  sourceJobRunId: '',
  destinationId: 'dst-1',
  DestinationDefinitionId: '',
  transformationId: '',
  transformationVersionId: '',
  trackingPlanId: '',
  trackingPlanVersion: 0,
  inReportedBy: 'dest_transformer',
  reportedBy: 'router',
  terminalState: true,
  initialState: false,
};
const good = { state: 'succeeded', statusCode: 200 } as const;
const order = (example = '{}', atMs = 0) => ({ eventName: 'Order', eventType: 'track', atMs, example: () => example });

function settings(reporting: Partial<Settings['reporting']> = {}): Settings {
  const loaded = loadConfig(settingsSchema, { environment: {}, flags: [] });
  assert(loaded.ok);
  return { ...loaded.settings, reporting: { ...loaded.settings.reporting, ...reporting } };
}

test('reports of one kind are one row, however many events there are', () => {
  const tally = new ReportTally(new ExampleGate());
  const here = reportingPlace(place, true);
  for (let index = 0; index < 1_000; index += 1) {
    tally.add(here, order(`{"n":${index}}`), { ...good, violations: 2, response: 'ok' });
  }
  tally.add(here, order(), { state: 'aborted', statusCode: 400 });
  const [well, bad] = tally.take();
  assert.equal(well?.count, 1_000);
  assert.equal(violationsOf(well.content), 2_000);
  assert.deepEqual(exampleOf(well.sample), { event: '{"n":0}', response: 'ok' });
  assert.deepEqual(JSON.parse(bad?.labels ?? ''), {
    workspaceId: 'ws-1',
    sourceId: 'src-1',
    destinationId: 'dst-1',
    inReportedBy: 'dest_transformer',
    reportedBy: 'router',
    terminalState: true,
    initialState: false,
    state: 'aborted',
    statusCode: 400,
    eventName: 'Order',
    eventType: 'track',
  });
  assert.deepEqual(tally.take(), [], 'it starts anew');
});

test('an example is taken once a minute, small, and nowhere where none is to be shown', () => {
  const gate = new ExampleGate();
  const examples = (atMs: number, takesExamples: boolean, event = '{}'): number => {
    const tally = new ReportTally(gate);
    tally.add(reportingPlace(place, takesExamples), order(event, atMs), good);
    return tally.take().filter(({ sample }) => exampleOf(sample).event !== '').length;
  };
  assert.equal(examples(60_000, false), 0);
  assert.equal(examples(60_000, true), 1);
  assert.equal(examples(119_999, true), 0);
  assert.equal(examples(120_000, true), 1);
  assert.equal(examples(180_000, true, `{"long":"${'x'.repeat(10_000)}"}`), 0);
});

test('any names of events become a bounded number of short ones that JSON of the database can hold', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 120 }), { maxLength: 60 }), (names) => {
      const known = new EventNames(5);
      const seen = new Set(names.map((name) => known.nameOf('src', name, 0)));
      seen.delete('');
      seen.delete(otherEventName);
      return seen.size <= 5 && [...seen].every((name) => [...name].length <= 53 && !/[\0\p{Cs}]/u.test(name));
    }),
  );
  assert.equal(shortEventName(`${'a'.repeat(60)}${'b'.repeat(10)}`), `${'a'.repeat(40)}...${'b'.repeat(10)}`);
  assert.equal(shortEventName('a\0\uD800'), 'a\uFFFD\uFFFD');
  const names = new EventNames(1);
  assert.deepEqual(
    ['a', 'b', 'a'].map((name) => names.nameOf('src', name, 0)),
    ['a', otherEventName, 'a'],
  );
  assert.equal(names.nameOf('src', 'b', 3_600_000), 'b', 'names are counted anew every hour');
});

function deliveries(sourceChanges: object, reporting: Partial<Settings['reporting']>) {
  const workspace = new WorkspaceHolder();
  workspace.publish(makeSnapshot([{ ...makeSource('src-1', [makeDestination('dst-1')]), ...sourceChanges }]));
  const reports = new DeliveryReports(workspace, settings(reporting));
  const request = { method: 'POST', endpoint: '', headers: {}, params: {}, format: 'JSON' as const };
  const status = { jobId: 1, execTimeMs: 0, retryTimeMs: 0, firstAttemptedAtMs: 0, response: '{"response":"no"}' };
  const job = {
    parameters: { source_id: 'src-1', destination_id: 'dst-1', workspace_id: 'ws-1', event_name: 'Order', request },
    destinationId: 'dst-1',
    receivedAtMs: 0,
    payload: Buffer.from('{"event":"Order"}'),
    status: undefined,
  };
  const failed = (attempt: number) => ({
    ...job,
    status: { ...status, attempt, code: 500, state: 'failed' as const },
  });
  const made = reports.isWanted ? reports.observe([job, failed(1), failed(2), failed(3)]) : [];
  return made.map(({ labels, count, sample }) => ({ ...JSON.parse(labels), count, sample }));
}

test('the router reports ends and first failures, only of workspaces that want it', () => {
  const rows = deliveries({}, { enabled: true });
  assert.deepEqual(
    rows.map(({ state, statusCode, eventName, count }) => ({ state, statusCode, eventName, count })),
    [
      { state: 'succeeded', statusCode: 200, eventName: 'Order', count: 1 },
      { state: 'failed', statusCode: 500, eventName: 'Order', count: 1 },
    ],
  );
  assert.deepEqual(exampleOf(rows[1]?.sample), { event: '{"event":"Order"}', response: '{"response":"no"}' });
  assert.deepEqual(deliveries({}, { enabled: false }), []);
  assert.equal(deliveries({ observing: { reports: true } }, { enabled: false }).length, 2);
  assert.deepEqual(deliveries({ observing: { reports: false } }, { enabled: true }), []);
});

test('reports of transient sources, and of workspaces that hide them, show no event and no answer', () => {
  for (const changes of [{ transient: true }, { observing: { reportSamples: false } }]) {
    const rows = deliveries(changes, { enabled: true });
    assert.deepEqual(
      rows.map(({ sample }) => sample),
      ['', ''],
    );
  }
});
