// Rows that say which ids are one user's, for warehouses that merge users (spec/transformer-and-clients.md 5.1).

import { isObject } from '../destination.ts';
import { textOf } from '../event-fields.ts';
import { ownName } from './names.ts';
import type { RowInput, WarehouseRow } from './row.ts';

interface Property {
  name: string;
  value: string;
}

/** One at most; none when the destination does not merge users, or the event knows nobody. */
export function mergeRows({ event, type, options, receivedAt }: RowInput): WarehouseRow[] {
  if (!options.resolvesIdentities) return [];
  const [first, second] = type === 'alias' ? aliased(event) : type === 'merge' ? merged(event) : known(event);
  if (first === undefined) return [];
  const { dialect } = options;
  const entries: [string, string][] = [
    ['merge_property_1_type', first.name],
    ['merge_property_1_value', first.value],
  ];
  if (second !== undefined)
    entries.push(['merge_property_2_type', second.name], ['merge_property_2_value', second.value]);
  const named = entries.map(([column, value]): [string, string] => [ownName(column, dialect), value]);
  return [
    {
      metadata: {
        table: ownName('rudder_identity_merge_rules', dialect),
        columns: Object.fromEntries(named.map(([column]) => [column, 'string' as const])),
        receivedAt,
        isMergeRule: true,
        mergePropOne: first.value,
        ...(second === undefined ? {} : { mergePropTwo: second.value }),
      },
      data: Object.fromEntries(named),
      userId: '',
    },
  ];
}

function aliased({ userId, previousId }: RowInput['event']): (Property | undefined)[] {
  const now = property('user_id', userId);
  const before = property('user_id', previousId);
  return now === undefined || before === undefined ? [] : [now, before];
}

function merged({ mergeProperties }: RowInput['event']): (Property | undefined)[] {
  if (!Array.isArray(mergeProperties) || mergeProperties.length !== 2) return [];
  const [first, second] = mergeProperties.map((one: unknown) =>
    isObject(one) ? property(textOf(one.type) ?? '', one.value) : undefined,
  );
  return first === undefined || second === undefined ? [] : [first, second];
}

function known({ anonymousId, userId }: RowInput['event']): (Property | undefined)[] {
  return [property('anonymous_id', anonymousId), property('user_id', userId)].filter((one) => one !== undefined);
}

function property(name: string, value: unknown): Property | undefined {
  const text = textOf(value);
  return text === undefined || name === '' ? undefined : { name, value: text };
}
