/** A file of generated or copied C. */
export interface SourceFile {
  /** Relative, with forward slashes: `lm2mcu_model.c`, `kernels/linear.c`. */
  readonly path: string;
  readonly content: string;
}
