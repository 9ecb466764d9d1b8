// A change of the configuration travels in pieces; a thread that cannot follow them gets the whole.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SourceConfig, WorkspaceHolder, type WorkspaceMessage } from '../../../actors/services/workspace.ts';
import { WorkspaceBroadcast } from '../../../actors/services/workspace-broadcast.ts';
import { makeSnapshot, makeSource } from '../../support/workspace-objects.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

function setup() {
  const holder = new WorkspaceHolder();
  const messages: WorkspaceMessage[] = [];
  const lasting: WorkspaceMessage[] = [];
  const lost = { next: false };
  const broadcast = new WorkspaceBroadcast(async (_topic, value, last = value) => {
    messages.push(value as WorkspaceMessage);
    lasting.push(last as WorkspaceMessage);
    if (lost.next) lost.next = false;
    else holder.take(value as WorkspaceMessage);
  }, quiet);
  return { holder, messages, lasting, lost, broadcast };
}

const many = (count: number): SourceConfig[] =>
  Array.from({ length: count }, (_, index) => makeSource(`s${index}`, []));

test('a change of many sources comes in pieces and counts only once all are there', async () => {
  const { holder, messages, lasting, broadcast } = setup();
  await broadcast.send(makeSnapshot(many(2), 1), undefined);
  const sources = many(1000);
  await broadcast.send(makeSnapshot(sources, 2), { sources: sources.slice(1), removedSourceIds: ['s0'] });
  const pieces = messages.flatMap((message) => ('piece' in message ? [message.piece] : []));
  assert.deepEqual(
    pieces.map((piece) => piece.sources.length),
    [200, 200, 200, 200, 199],
  );
  assert.equal(holder.current.snapshot.version, 2);
  assert.equal(holder.current.sourceById('s0'), undefined);
  assert.equal(holder.current.sourceById('s999')?.id, 's999');
  const versions = lasting.map((message) => ('whole' in message ? message.whole.version : 0));
  assert.deepEqual(versions, [1, 1, 1, 1, 1, 2], 'a thread that starts meanwhile gets a whole version');
});

test('a thread that lost a piece gets the whole', async () => {
  const { holder, lost, messages, broadcast } = setup();
  await broadcast.send(makeSnapshot(many(1), 1), undefined);
  const sources = many(300);
  lost.next = true;
  await broadcast.send(makeSnapshot(sources, 2), { sources, removedSourceIds: [] });
  assert.equal(holder.current.snapshot.sources.length, 300);
  assert.ok('whole' in (messages.at(-1) ?? {}));
});
