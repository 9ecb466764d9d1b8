// The tables of a dataset as the first release made them at run time, in its own words: later ones may make other tables,
// and go on with these.

export function releasedDataset(queue: string, number: number): string {
  return `
  create table ${queue}_jobs_${number} (
    job_id bigint primary key, parent_id bigint not null, partition text not null, user_id text not null,
    message_id text not null, received_at timestamptz not null, parameters text not null, payload bytea not null);
  create index ${queue}_jobs_${number}_partition on ${queue}_jobs_${number} (partition, job_id);
  create table ${queue}_status_${number} (
    partition text not null, after_id bigint not null, job_id bigint not null, jobs integer not null,
    state text not null, attempt integer not null, code integer not null, exec_time timestamptz not null,
    retry_time timestamptz, first_attempted_at timestamptz, response text not null);`;
}
