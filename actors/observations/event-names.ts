// Names of events as reports and schemas use them. They come from clients, so there may be any number of them: each is
// cut, and of a source only so many are told apart; the others go under one name.

/** As in the field: the beginning and the end of a long name say most. */
const headCharacters = 40;
const tailCharacters = 10;
const ellipsis = '...';

export const otherEventName = '(other)';
/** Names are counted anew after this long, so that a flood of them does not hide the good ones for ever. */
const windowMs = 3_600_000;
const sourcesMax = 10_000;

/** What JSON of the database cannot hold. */
const unfit = /[\0\p{Cs}]/u;

export function shortEventName(name: string): string {
  return cut(unfit.test(name) ? name.replaceAll(/[\0\p{Cs}]/gu, '\uFFFD') : name);
}

function cut(name: string): string {
  if (name.length <= headCharacters + tailCharacters) return name;
  const characters = [...name];
  if (characters.length <= headCharacters + tailCharacters) return name;
  return `${characters.slice(0, headCharacters).join('')}${ellipsis}${characters.slice(-tailCharacters).join('')}`;
}

export class EventNames {
  readonly #namesMax: number;
  /** Of each source: names as they came, and as they are told. */
  readonly #bySource = new Map<string, { told: Map<string, string>; distinct: Set<string> }>();
  #windowEndsMs = 0;

  /** `namesMax`: of one source. */
  constructor(namesMax: number) {
    this.#namesMax = namesMax;
  }

  nameOf(sourceId: string, name: unknown, nowMs: number): string {
    if (typeof name !== 'string' || name === '') return '';
    if (nowMs >= this.#windowEndsMs) {
      this.#windowEndsMs = nowMs + windowMs;
      this.#bySource.clear();
    }
    let names = this.#bySource.get(sourceId);
    if (names === undefined) {
      if (this.#bySource.size >= sourcesMax) this.#bySource.clear();
      names = { told: new Map(), distinct: new Set() };
      this.#bySource.set(sourceId, names);
    }
    const known = names.told.get(name);
    if (known !== undefined) return known;
    const short = shortEventName(name);
    if (!names.distinct.has(short)) {
      if (names.distinct.size >= this.#namesMax) return otherEventName;
      names.distinct.add(short);
    }
    // Long names that are told as the same one are not all kept.
    if (names.told.size < this.#namesMax) names.told.set(name, short);
    return short;
  }
}
