// A worker that serves the control calls of control.test.ts.

import { type MessagePort, workerData } from 'node:worker_threads';
import { exposeControl, TransportError } from '../../transport/index.ts';

export const controlTestMethods = {
  add: (left: number, right: number) => left + right,
  later: async (value: string) => value,
  refuse: () => {
    throw new TransportError('STORAGE_UNAVAILABLE', 'expected Postgres, got nothing', {
      retryable: true,
      data: { host: 'db' },
    });
  },
  rejectText: () => Promise.reject('just text'),
  hang: () => new Promise<never>(() => undefined),
  exit: () => process.exit(3),
  giveFunction: (): unknown => () => 1,
  writeTo: (port: MessagePort, text: string) => {
    port.postMessage(text);
    port.close();
  },
};

const { control } = workerData as { control: MessagePort };
exposeControl(control, controlTestMethods);
