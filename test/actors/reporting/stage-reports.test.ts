// What the processor reports of its stages: at every stage, what went in is what came out of the one before.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleOf } from '../../../actors/reporting/report-tally.ts';
import { stageReports } from '../../../actors/reporting/stage-reports.ts';
import { defaultSettings, runObserved } from '../../support/observed-events.ts';
import { makeDestination, makeSource } from '../../support/workspace-objects.ts';

const settings = { ...defaultSettings(), reporting: { ...defaultSettings().reporting, enabled: true } };
const track = { type: 'track', event: 'Order', userId: 'ann' };

interface Row {
  reportedBy: string;
  inReportedBy?: string;
  destinationId?: string;
  state: string;
  statusCode: number;
  count: number;
  sample: string;
}

function rowsOf(results: ReturnType<typeof runObserved>): Row[] {
  return (results.observations ?? []).map(({ labels, count, sample }) => ({ ...JSON.parse(labels), count, sample }));
}

function shortly({ reportedBy, inReportedBy = '', destinationId = '', state, statusCode, count }: Row): string {
  return `${inReportedBy}>${reportedBy}@${destinationId} ${state} ${statusCode} x${count}`;
}

test('every stage reports what went out of it, at the source and at each destination', () => {
  const only = (...types: string[]) => ({
    destinationDefinition: {
      ...makeDestination('x').destinationDefinition,
      config: { supportedMessageTypes: types },
    },
  });
  const source = makeSource('src', [makeDestination('all'), makeDestination('pages', only('page'))]);
  const events = [track, track, { ...track, integrations: { All: false } }, 'null'];
  const results = runObserved({ source, taps: [stageReports(settings)], events });
  assert.deepEqual(rowsOf(results).map(shortly).sort(), [
    '>gateway@ aborted 400 x1',
    '>gateway@ succeeded 200 x3',
    'destination_filter>event_filter@all succeeded 200 x2',
    'destination_filter>event_filter@pages filtered 298 x2',
    'event_filter>dest_transformer@all succeeded 200 x2',
    'gateway>destination_filter@all filtered 298 x1',
    'gateway>destination_filter@all succeeded 200 x2',
    'gateway>destination_filter@pages filtered 298 x1',
    'gateway>destination_filter@pages succeeded 200 x2',
  ]);
  const example = rowsOf(results).find(({ reportedBy }) => reportedBy === 'dest_transformer')?.sample;
  assert.equal(JSON.parse(exampleOf(example ?? '').event).event, 'Order');
});

test('a transformation that makes more or fewer events of one reports the difference', () => {
  const changed = { ...makeDestination('d'), transformations: [{ id: 't', versionId: 'v', language: 'javascript' }] };
  const source = makeSource('src', [changed]);
  const text = JSON.stringify(track);
  const results = runObserved({
    source,
    taps: [stageReports(settings)],
    events: [track, track],
    answers: ({ job }) => new Map([['d', { outputs: job.jobId === 1 ? [text, text, text] : [] }]]),
  });
  const here = rowsOf(results).filter(({ reportedBy }) =>
    ['user_transformer', 'dest_transformer'].includes(reportedBy),
  );
  assert.deepEqual(here.map(shortly).sort(), [
    'destination_filter>user_transformer@d diff 0 x2',
    'destination_filter>user_transformer@d filtered 298 x1',
    'destination_filter>user_transformer@d succeeded 200 x3',
    'event_filter>dest_transformer@d succeeded 200 x3',
  ]);
});

test('nothing is reported of a source that wants none', () => {
  const source = { ...makeSource('src', [makeDestination('d')]), observing: { reports: false } };
  assert.deepEqual(runObserved({ source, taps: [stageReports(settings)], events: [track] }).observations, []);
});
