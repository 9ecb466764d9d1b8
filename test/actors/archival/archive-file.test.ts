// Names and contents of archives: the same jobs are always under the same name, whatever crashed in between.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { archiveFiles, archiveLines } from '../../../actors/archival/archive-file.ts';
import { archiveTap } from '../../../actors/archival/archive-tap.ts';
import type { Settings } from '../../../actors/config.ts';
import { readJobs } from '../../../actors/storage/job-row.ts';
import type { HandedJob } from '../../../actors/storage/partition-session.ts';
import { defaultSettings, runObserved } from '../../support/observed-events.ts';
import { makeDestination, makeSource } from '../../support/workspace-objects.ts';

const hour = 3_600_000;

function handed(jobId: number, receivedAtMs: number, payload = '{}'): HandedJob {
  const job = {
    jobId,
    parentId: 0,
    partition: 'src',
    userId: 'a<<>>b<<>>c',
    messageId: `m-${jobId}`,
    receivedAtMs,
    parameters: '{}',
    payload: Buffer.from(payload),
  };
  return { job, afterId: jobId - 1, again: false, status: undefined };
}

test('whatever is committed, handed out again and cut off, every job ends in one object', () => {
  const step = fc.record({ window: fc.integer({ min: 1, max: 12 }), isCommitted: fc.boolean() });
  fc.assert(
    fc.property(fc.array(fc.nat(5), { maxLength: 40 }), fc.array(step, { maxLength: 30 }), (hours, steps) => {
      let pending = hours.map((at, index) => handed(index + 1, at * hour));
      const objects = new Map<string, number[]>();
      // A crash after the object was written and before its jobs were: they come again, with others behind them.
      for (const { window, isCommitted } of [...steps, ...hours.map(() => ({ window: 50, isCommitted: true }))]) {
        const [file] = archiveFiles('src', pending.slice(0, window));
        if (file === undefined) break;
        const ids = file.jobs.map(({ job }) => job.jobId);
        objects.set(file.key, ids);
        if (isCommitted) pending = pending.filter(({ job }) => !ids.includes(job.jobId));
      }
      const archived = [...objects.values()].flat().sort((a, b) => a - b);
      assert.deepEqual(
        archived,
        hours.map((_, index) => index + 1),
      );
    }),
  );
});

test('an object is named by source, hour and first job, and ids of sources make no folders', () => {
  const at = Date.parse('2026-03-01T05:59:59.999Z');
  const files = archiveFiles('../s', [handed(7, at), handed(8, at + 1), handed(9, at)]);
  assert.deepEqual(
    files.map(({ key, jobs }) => [key, jobs.length]),
    [
      [`%2E%2E%2Fs/gw/2026-03-01/5/${at}_7.json.gz`, 2],
      [`%2E%2E%2Fs/gw/2026-03-01/6/${at + 1}_8.json.gz`, 1],
    ],
  );
});

test('every event is one line with its own digits, line breaks between tokens apart', () => {
  const lines = archiveLines([handed(1, 0, '{\r\n "n": 9007199254740993}'), handed(2, 0)])
    .toString()
    .split('\n');
  assert.equal(lines.length, 3);
  assert.ok(lines[0]?.includes('"n": 9007199254740993'));
  assert.deepEqual(JSON.parse(lines[1] ?? ''), {
    userId: 'a<<>>b<<>>c',
    payload: {},
    createdAt: '1970-01-01T00:00:00.000Z',
    messageId: 'm-2',
  });
});

test('events are kept for the archive only where the workspace wants it, and never of transient sources', () => {
  const settings: Settings = { ...defaultSettings(), archival: { ...defaultSettings().archival, storage: 'local' } };
  const kept = (changes: object, own = settings): number => {
    const source = { ...makeSource('src', [makeDestination('d')]), ...changes };
    const { jobs } = runObserved({ source, taps: [archiveTap(own)], events: [{ type: 'track' }, { type: 'page' }] });
    return jobs.filter(({ queue }) => queue === 'arc').reduce((sum, { count }) => sum + count, 0);
  };
  assert.equal(kept({ observing: { archive: true } }), 2);
  assert.equal(kept({}), 0);
  assert.equal(kept({ observing: { archive: false } }), 0);
  assert.equal(kept({ observing: { archive: true }, transient: true }), 0);
  assert.equal(kept({ observing: { archive: true } }, defaultSettings()), 0, 'there is no storage');
  assert.equal(kept({ observing: { archive: true, archiveBucket: { type: 'S3', config: {} } } }, defaultSettings()), 2);
  const source = { ...makeSource('src', []), observing: { archive: true } };
  const { jobs } = runObserved({ source, taps: [archiveTap(settings)], events: ['{ "type":"track" }'] });
  const [row] = jobs.flatMap(({ rows }) => readJobs(rows));
  assert.equal(Buffer.from(row?.payload ?? []).toString(), '{ "type":"track" }', 'as it was received');
});
