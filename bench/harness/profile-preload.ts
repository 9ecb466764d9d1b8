// Loaded into every thread of a program that is profiled (NODE_OPTIONS=--import): runs V8's CPU profiler through the
// thread's own inspector and writes the profile when the thread ends.

import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';

const folder = process.env.BENCH_PROFILE_FOLDER;
/** Microseconds between samples. */
const interval = 500;

if (folder !== undefined) {
  const session = new Session();
  session.connect();
  const before = performance.eventLoopUtilization();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval });
  session.post('Profiler.start');
  process.once('exit', () => {
    const { active, utilization } = performance.eventLoopUtilization(before);
    // Answered before the call returns: a session of one's own thread does not wait.
    session.post('Profiler.stop', (error, answer) => {
      if (error !== null || answer === undefined) return;
      const { profile } = answer;
      const file = join(folder, `${process.pid}-${threadId}.cpuprofile`);
      writeFileSync(file, JSON.stringify({ ...profile, loop: { activeMs: active, utilization } }));
    });
  });
}
