/**
 * A compiled model as a C library for a project of the user's own: plain sources under `src/`, which
 * CMake, PlatformIO, the Arduino IDE and Zephyr all build as they are. It runs on any core: the
 * compiler takes the fastest kernels that its core has.
 */
import { readFileSync } from 'node:fs';
import { packagePath, packageVersion } from '../package-root.ts';
import type { Compiled } from '../pipeline.ts';
import { type KernelTable, kernelsFor, loadKernels } from '../schedule/kernels.ts';
import type { ScratchBytes } from '../schedule/schedule.ts';
import { kernelScratch } from '../schedule/scratch.ts';
import { sha256Of } from '../sha256.ts';
import { type KernelSet, kernelSetOf } from '../targets.ts';
import { emitModel } from './c-model.ts';
import { type AnyCore, anyCoreFeatures, sharedKernels } from './kernel-select.ts';
import type { SourceFile } from './source-file.ts';

/** The most scratch that any core's kernels take; kernels of all cores read the same weights. */
export function libraryScratch(
  kernels: KernelTable,
  kernelSet: KernelSet,
  maxTokens: number,
): ScratchBytes {
  const scratches = anyCoreFeatures(anyCoreOf(kernelSet)).map((features) =>
    kernelScratch(kernelsFor(features, sharedKernels(kernels)), maxTokens),
  );
  return (graph, node) => Math.max(...scratches.map((scratch) => scratch(graph, node)));
}

function anyCoreOf(kernelSet: KernelSet): AnyCore {
  return { extraFeatures: kernelSet === 'cmsis-nn' ? ['cmsis-nn'] : [] };
}

/** `compiled`: for a library (`emit` of the request), so that its arena has room for any core. */
export function emitLibrary(compiled: Compiled): readonly SourceFile[] {
  const { program, imported, tokenizer, constraint, target, graphBin } = compiled;
  const { sources } = emitModel({
    program,
    card: imported.card,
    tokenizer,
    constraint,
    targetName: target.name,
    features: anyCoreOf(kernelSetOf(target)),
    kernels: sharedKernels(loadKernels()),
    sha256: sha256Of(graphBin),
  });
  const code = [...sources, template('lm2mcu.h', 'lm2mcu.h')].map(({ path, content }) => ({
    path: `src/${path}`,
    content,
  }));
  const facts: Facts = {
    name: `lm2mcu-${slug(imported.card.name)}`,
    title: printable(imported.card.name),
    version: packageVersion(),
    files: code.map(({ path }) => path).filter((path) => path.endsWith('.c')),
    kernels: kernelSetOf(target),
  };
  return [
    ...code,
    template('examples/classify/main.c', 'library/main.c'),
    template('examples/arduino/arduino.ino', 'library/arduino.ino'),
    { path: 'CMakeLists.txt', content: cmakeLists(facts) },
    { path: 'library.json', content: platformioManifest(facts) },
    { path: 'library.properties', content: arduinoProperties(facts) },
    { path: 'zephyr/module.yml', content: zephyrModule(facts) },
    { path: 'zephyr/CMakeLists.txt', content: zephyrLists(facts) },
    { path: 'zephyr/Kconfig', content: zephyrKconfig(facts) },
    { path: 'README.md', content: readme(facts) },
  ].sort((a, b) => (a.path < b.path ? -1 : 1));
}

interface Facts {
  /** Lower case letters, digits and hyphens: what every one of the four takes. */
  readonly name: string;
  /** The model's name, one line of ASCII. */
  readonly title: string;
  readonly version: string;
  /** C files, from the library's folder on. */
  readonly files: readonly string[];
  readonly kernels: KernelSet;
}

function template(path: string, file: string): SourceFile {
  return { path, content: readFileSync(packagePath('firmware-templates', file), 'utf8') };
}

/** Arduino allows 63 characters. */
const longestSlug = 40;

function slug(name: string): string {
  const words = name.toLowerCase().match(/[a-z0-9]+/g) ?? ['model'];
  return words.join('-').slice(0, longestSlug);
}

function printable(name: string): string {
  return name.replaceAll(/[^ -~]|["\\$]/gu, '?').trim() || 'model';
}

const sentence = ({ title }: Facts): string =>
  `The transformer model ${title}, compiled for microcontrollers by lm2mcu`;

function cmakeLists({ name, version, files, kernels }: Facts): string {
  return `cmake_minimum_required(VERSION 3.13)
project(${name} VERSION ${version} LANGUAGES C)

add_library(${name} STATIC
${files.map((file) => `  ${file}\n`).join('')})
target_include_directories(${name} PUBLIC src)
set_target_properties(${name} PROPERTIES C_STANDARD 99)
${kernels === 'cmsis-nn' ? cmakeOfCmsisNn(name) : ''}
# The example needs standard input and output.
if(CMAKE_SOURCE_DIR STREQUAL PROJECT_SOURCE_DIR AND NOT CMAKE_CROSSCOMPILING)
  add_executable(classify examples/classify/main.c)
  target_link_libraries(classify PRIVATE ${name})
endif()
`;
}

function cmakeOfCmsisNn(name: string): string {
  return `
# Arm's CMSIS-NN: the target that its own CMakeLists makes, or a checkout in CMSIS_NN_PATH.
if(NOT TARGET cmsis-nn AND DEFINED CMSIS_NN_PATH)
  add_subdirectory(\${CMSIS_NN_PATH} cmsis-nn)
endif()
if(NOT TARGET cmsis-nn)
  message(FATAL_ERROR "${name} calls CMSIS-NN: give its checkout, -DCMSIS_NN_PATH=<folder>")
endif()
target_link_libraries(${name} PUBLIC cmsis-nn)
`;
}

/** https://docs.platformio.org/en/latest/manifests/library-json/ */
function platformioManifest(facts: Facts): string {
  const { name, version } = facts;
  const manifest = {
    name,
    version,
    description: sentence(facts),
    keywords: ['transformer', 'bert', 'classification'],
    frameworks: '*',
    platforms: '*',
    headers: ['lm2mcu.h', 'lm2mcu_model.h'],
    build: { srcDir: 'src', includeDir: 'src' },
    examples: [{ name: 'classify', base: 'examples/classify', files: ['main.c'] }],
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** https://arduino.github.io/arduino-cli/latest/library-specification/ */
function arduinoProperties(facts: Facts): string {
  const properties = {
    name: facts.name,
    version: facts.version,
    author: 'lm2mcu',
    maintainer: 'lm2mcu',
    sentence: `${sentence(facts)}.`,
    paragraph: 'Text in, label out: tokenizer and model in one library, without heap.',
    category: 'Data Processing',
    url: '',
    architectures: '*',
    includes: 'lm2mcu.h,lm2mcu_model.h',
  };
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

/** https://docs.zephyrproject.org/latest/develop/modules.html */
function zephyrModule({ name }: Facts): string {
  return `name: ${name}
build:
  cmake: zephyr
  kconfig: zephyr/Kconfig
`;
}

function zephyrLists({ name, files }: Facts): string {
  return `if(CONFIG_LM2MCU_MODEL)
  zephyr_library_named(${name})
  zephyr_library_sources(
${files.map((file) => `    ../${file}\n`).join('')}  )
  zephyr_include_directories(../src)
endif()
`;
}

function zephyrKconfig(facts: Facts): string {
  const needs = facts.kernels === 'cmsis-nn' ? '\tdepends on CMSIS_NN\n' : '';
  return `config LM2MCU_MODEL
\tbool "lm2mcu model ${facts.title}"
${needs}\thelp
\t  ${sentence(facts)}.
`;
}

const readmeOfCmsisNn = `It calls Arm's CMSIS-NN, which is not part of it: its \`Include\` must be in the include path, and its
convolution, fully connected, softmax and basic math functions must be linked. CMake takes the target
\`cmsis-nn\`, or a checkout, \`-DCMSIS_NN_PATH=<folder>\`; Zephyr \`CONFIG_CMSIS_NN=y\` with these groups.

`;

function readme(facts: Facts): string {
  const { name } = facts;
  return `# ${name}

${sentence(facts)}: text in, label out. C99, without heap, floating point
or global state; the caller gives one block of memory. The interface is \`src/lm2mcu.h\`, the sizes are
in \`src/lm2mcu_model.h\`, and \`lm2mcu_run\` in \`src/lm2mcu_model.c\` is the whole model, layer by layer.

\`\`\`c
#include "lm2mcu.h"
#include "lm2mcu_model.h"

static uint8_t arena[LM2MCU_ARENA_BYTES] __attribute__((aligned(16)));

const char *label_of(const char *text, size_t bytes) {
  lm2mcu_tokens tokens;
  lm2mcu_result result;
  if (lm2mcu_tokenize(arena, text, bytes, NULL, 0, &tokens) != LM2MCU_OK) return NULL;
  if (lm2mcu_run(arena, &result) != LM2MCU_OK) return NULL;
  return lm2mcu_model_card()->labels[lm2mcu_best(result.values, result.columns)];
}
\`\`\`

| with | how |
| --- | --- |
| CMake | \`add_subdirectory(${name})\` and link \`${name}\`; alone, it also builds \`examples/classify\` |
| PlatformIO | this folder into \`lib/\` |
| Arduino | this folder into \`libraries/\`; \`examples/arduino\` is a sketch |
| Zephyr | \`ZEPHYR_EXTRA_MODULES\` with this folder's path, and \`CONFIG_LM2MCU_MODEL=y\` |
| anything else | the \`.c\` files below \`src/\`, with \`src\` as include path |

${facts.kernels === 'cmsis-nn' ? readmeOfCmsisNn : ''}Compile with optimisation (\`-O2\`). On a Cortex-M core with the DSP extension or Helium the compiler
takes kernels for it (\`src/kernels/select.h\`); results are the same, to the bit, everywhere. With
\`LM2MCU_SECTIONS\` defined, the constants go to sections of their own, for a linker script to place.
`;
}
