/** A tokenizer library, or the process in which one runs. */
export interface Backend {
  encode(texts: readonly string[], addSpecialTokens: boolean): Promise<Uint32Array[]>;
  decode(ids: number[]): Promise<string>;
  close?(): void;
}
