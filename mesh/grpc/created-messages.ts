import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";

/**
 * The messages of what a handler yields. As a generator it would be dearer than all else that is done for a message of a
 * stream. What the handler makes is begun when the first is asked for.
 */
export class CreatedMessages<O extends DescMessage> implements AsyncIterableIterator<MessageShape<O>> {
  readonly #schema: O;
  readonly #begin: () => Promise<AsyncIterable<MessageInitShape<O>>>;
  #inits: AsyncIterator<MessageInitShape<O>> | undefined;

  constructor(schema: O, begin: () => Promise<AsyncIterable<MessageInitShape<O>>>) {
    this.#schema = schema;
    this.#begin = begin;
  }

  next(): Promise<IteratorResult<MessageShape<O>>> {
    if (this.#inits) return this.#inits.next().then(this.#created);
    return this.#begin().then((made) => {
      this.#inits = made[Symbol.asyncIterator]();
      return this.#inits.next().then(this.#created);
    });
  }

  readonly #created = (result: IteratorResult<MessageInitShape<O>>): IteratorResult<MessageShape<O>> =>
    result.done ? result : { done: false, value: create(this.#schema, result.value) };

  /** Whoever reads them reads no more, and the handler is told, if it has begun. */
  async return(): Promise<IteratorResult<MessageShape<O>>> {
    await this.#inits?.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
