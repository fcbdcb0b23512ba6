import { DynamicTable, type TableContent } from "./dynamic-table.ts";
import { type HeaderField, hasOwnIndexing, type Indexing, indexingOf } from "./header-field.ts";
import { STATIC_COUNT, STATIC_NAMES } from "./static-table.ts";

/**
 * Where the encoder finds what has one name. A place is an entry's number in the dynamic table, or below zero: an index
 * of the static one.
 */
export interface NamePlaces {
  readonly indexing: Indexing;
  /** True for names that somebody thought of beforehand; only these are kept when they have no entry. */
  readonly isKnown: boolean;
  /** 0 if the static table does not have the name. */
  readonly staticIndex: number;
  /** The dynamic entries that have the name, and the last of them. */
  entries: number;
  newest: number;
  readonly places: Map<string, number>;
  /** The value that was found last, for most names have the same one again and again. */
  lastValue: string | undefined;
  lastPlace: number;
  /** How many values in a row were not found. */
  misses: number;
}

/** A name that has had so many new values in a row goes on like that, and is tried again as rarely. */
const CHANGING_AFTER = 16;

/** Both tables as the encoder needs them: which index has a name, and which a name with its value. */
export class EncoderTable {
  readonly #names = new Map<string, NamePlaces>();
  readonly #dynamic: DynamicTable;

  constructor(maxBytes: number) {
    this.#dynamic = new DynamicTable(maxBytes, (field, number) => this.#forget(field, number));
  }

  get maxBytes(): number {
    return this.#dynamic.maxBytes;
  }

  /** How many names it remembers: those with an entry, and some that are known beforehand. */
  get nameCount(): number {
    return this.#names.size;
  }

  content(): TableContent {
    return this.#dynamic.content();
  }

  /** Where this name is; the answer holds until the next change. */
  places(name: string): NamePlaces {
    return this.#names.get(name) ?? this.#firstPlaces(name);
  }

  /** The index of the name with this value; 0 if neither table has it. */
  indexOf(name: NamePlaces, value: string): number {
    if (name.lastValue === value) {
      name.misses = 0;
      return this.#index(name.lastPlace);
    }
    const place = name.places.get(value);
    if (place === undefined) {
      name.misses++;
      return 0;
    }
    name.misses = 0;
    name.lastValue = value;
    name.lastPlace = place;
    return this.#index(place);
  }

  /** The index of the name with whatever value, the smallest; 0 if neither table has it. */
  indexOfName({ staticIndex, entries, newest }: NamePlaces): number {
    if (staticIndex > 0) return staticIndex;
    return entries > 0 ? this.#index(newest) : 0;
  }

  /**
   * False for most values of a name whose values hardly ever come again, such as the path of a resource: they would drive
   * out of the table what does.
   */
  mayComeAgain({ misses }: NamePlaces): boolean {
    return misses <= CHANGING_AFTER || misses % CHANGING_AFTER === 0;
  }

  /** Inserts what has no index yet, and is not larger than the whole table. */
  insert(field: HeaderField): void {
    this.#dynamic.insert(field);
    // What had to make room may have been the last with this name.
    const name = this.places(field.name);
    this.#names.set(field.name, name);
    name.entries++;
    name.newest = this.#dynamic.inserted - 1;
    name.places.set(field.value, name.newest);
    name.lastValue = field.value;
    name.lastPlace = name.newest;
  }

  resize(maxBytes: number): void {
    this.#dynamic.resize(maxBytes);
  }

  #index(place: number): number {
    return place < 0 ? -place : STATIC_COUNT + this.#dynamic.inserted - place;
  }

  #firstPlaces(name: string): NamePlaces {
    const known = STATIC_NAMES.get(name);
    const places = new Map<string, number>();
    for (const [value, index] of known?.indexByValue ?? []) places.set(value, -index);
    const first = {
      indexing: indexingOf(name),
      isKnown: known !== undefined || hasOwnIndexing(name),
      staticIndex: known?.index ?? 0,
      entries: 0,
      newest: 0,
      places,
      lastValue: undefined,
      lastPlace: 0,
      misses: 0,
    };
    if (first.isKnown) this.#names.set(name, first);
    return first;
  }

  #forget({ name, value }: HeaderField, number: number): void {
    const places = this.#names.get(name);
    if (!places) return;
    places.entries--;
    if (places.places.get(value) === number) places.places.delete(value);
    if (places.lastPlace === number) places.lastValue = undefined;
    if (places.entries === 0 && !places.isKnown) this.#names.delete(name);
  }
}
