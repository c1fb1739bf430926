/**
 * TensorFlow.js on WebAssembly: matrices and gradients for the search. Loaded on first use, for it
 * takes a third of a second, and nothing but `lm2mcu compress` needs it.
 */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { internalError } from '../errors.ts';

export type TensorLibrary = typeof import('@tensorflow/tfjs-core');
export type { Tensor2D } from '@tensorflow/tfjs-core';

let loading: Promise<TensorLibrary> | undefined;

export function loadTensors(): Promise<TensorLibrary> {
  loading ??= load();
  return loading;
}

async function load(): Promise<TensorLibrary> {
  const tf = await import('@tensorflow/tfjs-core');
  // The core registers no gradients under Node; this package does.
  await import('@tensorflow/tfjs-layers');
  const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  const require = createRequire(import.meta.url);
  setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  if (!(await tf.setBackend('wasm'))) throw internalError('the wasm backend does not start');
  return tf;
}

/**
 * a·b, and its gradients, with operands transposed in memory: the backend's kernels for transposed
 * operands are eleven times slower (2,560×128 by 128×512: 180 ms against 16 ms).
 */
export function product(tf: TensorLibrary, a: Tensor2D, b: Tensor2D): Tensor2D {
  const op = tf.customGrad((...operands) => {
    const [x, y, save] = operands as unknown as [Tensor2D, Tensor2D, (saved: Tensor2D[]) => void];
    save([x, y]);
    return {
      value: tf.matMul(x, y),
      gradFunc: (dy, saved) => {
        const [savedX, savedY] = saved as [Tensor2D, Tensor2D];
        return [
          tf.matMul(dy as Tensor2D, tf.transpose(savedY)),
          tf.matMul(tf.transpose(savedX), dy as Tensor2D),
        ];
      },
    };
  });
  return op(a, b) as Tensor2D;
}

/** x·wᵀ with a constant w: (out, in); no gradient of w is computed. */
export function productWithConstant(
  tf: TensorLibrary,
  x: Tensor2D,
  { weight, transposed }: ConstantWeight,
): Tensor2D {
  const op = tf.customGrad((operand) => ({
    value: tf.matMul(operand as Tensor2D, transposed),
    gradFunc: (dy) => tf.matMul(dy as Tensor2D, weight),
  }));
  return op(x) as Tensor2D;
}

/** Both layouts of a constant matrix. */
export interface ConstantWeight {
  readonly weight: Tensor2D;
  readonly transposed: Tensor2D;
}
