// The transformation as an actor type: one per program, in threads of its own, which can be ended when code does not
// come back. What it does is in transformation.ts.

import { type ActorDefinition, defineActor } from '../../runtime/index.ts';
import { createEgressGuard, type HttpClient } from '../../transport/index.ts';
import type { Environment } from '../environment.ts';
import { CodeStore } from './code-store.ts';
import { suspectKind, type transformationKind } from './contract.ts';
import { quickJsEngine } from './quickjs-engine.ts';
import { type RemoteAnswered, RemoteTransformation, remoteHttpClient } from './remote-transformation.ts';
import { createSandboxFetch } from './sandbox-fetch.ts';
import { Transformation, type TransformationMessage } from './transformation.ts';

type ActorMessage = TransformationMessage | RemoteAnswered;

const mailboxBytesMax = 64 * 1024 * 1024;

export function transformationDefinition(
  environment: Environment,
  kind: typeof transformationKind | typeof suspectKind,
): ActorDefinition<ActorMessage> {
  const { settings, telemetry } = environment;
  const { url, token, timeoutMs } = settings.backendConfig;
  const store = new CodeStore({ url, token, timeoutMs, dataDir: settings.data.dir });
  const guard = createEgressGuard({ allow: settings.egress.allow });
  const events = telemetry.metrics.counter('sluice_transformation_events_total', 'Events through customers’ code');
  let http: HttpClient | undefined;
  return defineActor<ActorMessage>({
    kind,
    role: kind === suspectKind ? 'suspects' : 'sandbox',
    idleMs: settings.transformations.idleMs,
    remedy: 'give it more threads with transformations.threads, or make its code cheaper',
    mailbox: { bytesMax: mailboxBytesMax },
    create(context) {
      const count = (outcome: string, number: number): void => events.add(number, { outcome });
      const transformation = new Transformation(context, {
        settings: settings.transformations,
        engine: quickJsEngine,
        store,
        isAmongSuspects: kind === suspectKind,
        fetch: createSandboxFetch(guard, context.key, settings.transformations.wallMsMax),
        count,
      });
      const remote = new RemoteTransformation(context, {
        http: () => {
          http ??= remoteHttpClient();
          return http;
        },
        timeoutMs: settings.transformer.timeoutMs,
        count,
      });
      return {
        onMessage: (message) => {
          if (message.kind === 'remoteAnswered') remote.answered(message);
          else if (message.kind === 'transformChunk' && message.program.remoteUrl !== '') remote.take(message);
          else transformation.receive(message);
        },
        onStop: () => transformation.stop(),
      };
    },
  });
}
