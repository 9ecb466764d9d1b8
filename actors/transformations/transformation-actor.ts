// The transformation as an actor type: one per program, in threads of its own, which can be ended when code does not
// come back. What it does is in transformation.ts.

import { type ActorDefinition, defineActor } from '../../runtime/index.ts';
import { createEgressGuard } from '../../transport/index.ts';
import type { Environment } from '../environment.ts';
import { CodeStore } from './code-store.ts';
import { suspectKind, type transformationKind } from './contract.ts';
import { quickJsEngine } from './quickjs-engine.ts';
import { createSandboxFetch } from './sandbox-fetch.ts';
import { Transformation, type TransformationMessage } from './transformation.ts';

const mailboxBytesMax = 64 * 1024 * 1024;

export function transformationDefinition(
  environment: Environment,
  kind: typeof transformationKind | typeof suspectKind,
): ActorDefinition<TransformationMessage> {
  const { settings, telemetry } = environment;
  const { url, token, timeoutMs } = settings.backendConfig;
  const store = new CodeStore({ url, token, timeoutMs, dataDir: settings.data.dir });
  const guard = createEgressGuard({ allow: settings.egress.allow });
  const events = telemetry.metrics.counter('sluice_transformation_events_total', 'Events through customers’ code');
  return defineActor<TransformationMessage>({
    kind,
    role: kind === suspectKind ? 'suspects' : 'sandbox',
    idleMs: settings.transformations.idleMs,
    remedy: 'give it more threads with transformations.threads, or make its code cheaper',
    mailbox: { bytesMax: mailboxBytesMax },
    create(context) {
      const transformation = new Transformation(context, {
        settings: settings.transformations,
        engine: quickJsEngine,
        store,
        isAmongSuspects: kind === suspectKind,
        fetch: createSandboxFetch(guard, context.key, settings.transformations.wallMsMax),
        count: (outcome, count) => events.add(count, { outcome }),
      });
      return {
        onMessage: (message) => transformation.receive(message),
        onStop: () => transformation.stop(),
      };
    },
  });
}
