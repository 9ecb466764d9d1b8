// Where is my event: the admin server's answer, by message, by job and by parent. The same as `sluice job`, plus what only
// the running program knows: who holds a job right now.

import { AdminError, type AdminRoute } from './admin/contract.ts';
import type { JobFound, WantedJobs } from './storage/contract.ts';

export function jobRoutes(lookUp: (wanted: WantedJobs) => Promise<JobFound[]>): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/jobs',
      doc: 'jobs of a message (?messageId=) or made from a job (?parentId=)',
      handle: async ({ query }) => ({ status: 200, json: { jobs: (await lookUp(wantedOf(query))).map(toJson) } }),
    },
    {
      method: 'GET',
      path: '/jobs/:id',
      doc: 'a job and the jobs made from it',
      handle: async ({ params }) => {
        const jobId = idOf(params.id ?? '', 'the job id');
        const [job] = await lookUp({ jobId });
        if (job === undefined) throw new AdminError(404, `no job ${jobId} is kept: it never was, or its time is over`);
        const made = job.queue === 'gw' ? await lookUp({ parentId: jobId }) : [];
        return { status: 200, json: { ...toJson(job), made: made.map(toJson) } };
      },
    },
  ];
}

function wantedOf(query: URLSearchParams): WantedJobs {
  const messageId = query.get('messageId');
  const parentId = query.get('parentId');
  if (messageId !== null && messageId !== '') return { messageId };
  if (parentId !== null) return { parentId: idOf(parentId, 'parentId') };
  throw new AdminError(400, 'expected messageId or parentId in the query');
}

function idOf(text: string, name: string): number {
  const id = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(id)) {
    throw new AdminError(400, `expected ${name} to be a number, got ${JSON.stringify(text)}`);
  }
  return id;
}

/** `parameters` are JSON by contract; what is not is shown as it is. */
function toJson({ parameters, ...job }: JobFound): object {
  try {
    return { ...job, parameters: JSON.parse(parameters) };
  } catch {
    return { ...job, parameters };
  }
}
