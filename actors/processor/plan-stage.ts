// Checks events against the tracking plan of their source (spec/ingest.md 4.6, spec/transformer-and-clients.md 1.7): what
// they break is written into them, and decides by the plan's settings whether they go on.

import { type EventObject, isObject } from '../destinations/destination.ts';
import type { SourceConfig, TrackingPlanConfig } from '../services/workspace.ts';
import { type CompiledRules, compileRules, type Violation, type ViolationType } from './plan-rules.ts';
import type { Ending, Stage } from './stage.ts';

interface PlannedEvent {
  name: string;
  eventType: string;
  rules: unknown;
}

const invalid = 400;
const typesToldMax = 300;

/** Undefined: the source has no plan, or none that anybody has settings for: then nothing is checked, as in the field. */
export function planStage(source: SourceConfig, told: (problem: string) => void): Stage | undefined {
  const { trackingPlan: plan } = source;
  if (plan?.events === undefined) return undefined;
  if (Object.keys(plan.config).length === 0 && Object.keys(plan.mergedConfig).length === 0) return undefined;
  const planned = new Map(plan.events.flatMap(plannedEvent).map((one) => [keyOf(one.eventType, one.name), one]));
  const compiled = new Map<PlannedEvent, CompiledRules>();
  const rulesOf = (one: PlannedEvent): CompiledRules => {
    let rules = compiled.get(one);
    if (rules === undefined) {
      rules = compileRules(one.rules);
      compiled.set(one, rules);
      if (rules.problem !== '') told(`rules of ${one.name || one.eventType} are not checked: ${rules.problem}`);
    }
    return rules;
  };
  const settings = new PlanSettings(plan);
  return (inHand) => {
    const { event } = inHand;
    const type = typeof event.type === 'string' ? event.type.trim().toLowerCase() : '';
    if (type === '' || type === 'alias') return undefined;
    const own = settings.of(type);
    const one = planned.get(keyOf(type, event.event));
    const violations = one === undefined ? unplanned(event, type) : rulesOf(one).check(event);
    if (own.propagates) {
      const context = inHand.contextToChange();
      context.trackingPlanId = plan.id;
      context.trackingPlanVersion = plan.version;
      context.violationErrors = violations;
    }
    return dropping(violations, own);
  };
}

interface Choices {
  propagates: boolean;
  drops(type: ViolationType): boolean;
}

/** `config.global`, over which that of the event's type is laid. */
class PlanSettings {
  readonly #plan: TrackingPlanConfig;
  readonly #byType = new Map<string, Choices>();

  constructor(plan: TrackingPlanConfig) {
    this.#plan = plan;
  }

  of(type: string): Choices {
    let choices = this.#byType.get(type);
    if (choices === undefined) {
      const { config, mergedConfig } = this.#plan;
      const own = {
        ...mergedConfig,
        ...tableOf(config.global),
        ...tableOf(Object.hasOwn(config, type) ? config[type] : {}),
      };
      choices = choicesOf(own);
      // Types are the client's own words: only the known ones are remembered.
      if (eventTypes.has(type)) this.#byType.set(type, choices);
    }
    return choices;
  }
}

const eventTypes: ReadonlySet<string> = new Set(['track', 'identify', 'page', 'screen', 'group']);

function choicesOf(settings: Record<string, unknown>): Choices {
  const { allowUnplannedEvents, unplannedProperties, anyOtherViolation, propagateValidationErrors } = settings;
  const dropsUnplanned = String(allowUnplannedEvents) === 'false';
  return {
    propagates: String(propagateValidationErrors) !== 'false',
    drops: (type) => {
      if (type === 'Unplanned-Event') return dropsUnplanned;
      return (type === 'Additional-Properties' ? unplannedProperties : anyOtherViolation) === 'drop';
    },
  };
}

function dropping(violations: readonly Violation[], choices: Choices): Ending | undefined {
  const types = new Set(violations.map(({ type }) => type).filter((type) => choices.drops(type)));
  if (types.size === 0) return undefined;
  const reason = `the tracking plan refuses it: ${[...types].join(', ')}`.slice(0, typesToldMax);
  return { kind: 'aborted', code: invalid, reason, stage: 'tracking_plan_validator' };
}

/** Only `track` events are planned by their names. */
function keyOf(type: string, name: unknown): string {
  return type === 'track' ? `track ${typeof name === 'string' ? name : ''}` : type;
}

function unplanned({ event }: EventObject, type: string): Violation[] {
  if (type !== 'track') return [];
  const name = typeof event === 'string' ? event : '';
  return [{ type: 'Unplanned-Event', message: `no event ${JSON.stringify(name.slice(0, 100))} in the plan`, meta: {} }];
}

function plannedEvent(value: unknown): PlannedEvent[] {
  if (!isObject(value)) return [];
  const { name, eventType, rules } = value;
  const type = typeof eventType === 'string' ? eventType.toLowerCase() : 'track';
  return [{ name: typeof name === 'string' ? name : '', eventType: type, rules }];
}

function tableOf(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}
