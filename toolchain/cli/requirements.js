// What this host must have beside Node, as data: what is missing, and the command
// that gets it. Plain JavaScript without dependencies, since it also prepares a fresh checkout.
import { spawnSync } from 'node:child_process';

/**
 * @typedef {'apt-get' | 'dnf' | 'pacman' | 'brew'} PackageManager
 * @typedef {object} Requirement
 * @property {string} name
 * @property {string} purpose
 * @property {{ command: string, args: string[], stdin?: string }} probe Succeeds where it is there.
 * @property {'use' | 'option' | 'test'} neededFor
 * @property {Record<PackageManager, string>} packages Names, separated by spaces.
 */

/** @type {readonly Requirement[]} */
export const requirements = [
  {
    name: 'arm-none-eabi-gcc',
    purpose: 'compiles firmware',
    probe: {
      command: 'arm-none-eabi-gcc',
      args: ['--version'],
    },
    neededFor: 'use',
    packages: {
      'apt-get': 'gcc-arm-none-eabi',
      dnf: 'arm-none-eabi-gcc-cs',
      pacman: 'arm-none-eabi-gcc',
      brew: 'gcc-arm-embedded',
    },
  },
  {
    name: 'newlib',
    purpose: 'C headers for firmware',
    probe: {
      command: 'arm-none-eabi-gcc',
      args: ['-fsyntax-only', '-x', 'c', '-'],
      stdin: '#include <stdint.h>\n#include <string.h>\n',
    },
    neededFor: 'use',
    packages: {
      'apt-get': 'libnewlib-arm-none-eabi',
      dnf: 'arm-none-eabi-newlib',
      pacman: 'arm-none-eabi-newlib',
      brew: 'gcc-arm-embedded',
    },
  },
  {
    name: 'qemu-system-arm',
    purpose: 'runs firmware on emulated boards',
    probe: {
      command: 'qemu-system-arm',
      args: ['--version'],
    },
    neededFor: 'use',
    packages: {
      'apt-get': 'qemu-system-arm',
      dnf: 'qemu-system-arm',
      pacman: 'qemu-system-arm',
      brew: 'qemu',
    },
  },
  {
    name: 'mkfifo',
    purpose: 'joins the emulator and the simulated NPU (run --on emulator)',
    probe: {
      command: 'sh',
      args: ['-c', 'command -v mkfifo'],
    },
    neededFor: 'option',
    packages: {
      'apt-get': 'coreutils',
      dnf: 'coreutils',
      pacman: 'coreutils',
      brew: 'coreutils',
    },
  },
  {
    name: 'gcc',
    purpose: "runs the model's C on this host (--on host)",
    probe: {
      command: 'gcc',
      args: ['--version'],
    },
    neededFor: 'option',
    packages: {
      'apt-get': 'gcc libc6-dev',
      dnf: 'gcc',
      pacman: 'gcc',
      brew: 'gcc',
    },
  },
  {
    name: 'sanitizers',
    purpose: "tests of the C code with the host's gcc",
    probe: {
      command: 'gcc',
      args: ['-fsanitize=address,undefined', '-x', 'c', '-', '-o', '/dev/null'],
      stdin: '#include <stdint.h>\nint main(void) { return 0; }\n',
    },
    neededFor: 'test',
    packages: {
      'apt-get': 'gcc libc6-dev',
      dnf: 'libasan libubsan',
      pacman: 'gcc',
      brew: 'gcc',
    },
  },
  {
    name: 'xz',
    purpose: 'unpacks the texts of the example',
    probe: {
      command: 'xz',
      args: ['--version'],
    },
    neededFor: 'test',
    packages: {
      'apt-get': 'xz-utils',
      dnf: 'xz',
      pacman: 'xz',
      brew: 'xz',
    },
  },
  {
    name: 'clang',
    purpose: 'compiles the kernels with a second compiler, in tests',
    probe: {
      command: 'clang-19',
      args: ['--version'],
    },
    neededFor: 'test',
    packages: {
      'apt-get': 'clang-19',
      dnf: 'clang',
      pacman: 'clang',
      brew: 'llvm@19',
    },
  },
  {
    name: 'stm32flash',
    purpose: 'flashes emulated boards in tests, as a host that is not ours',
    probe: {
      command: 'stm32flash',
      args: ['-h'],
    },
    neededFor: 'test',
    packages: {
      'apt-get': 'stm32flash',
      dnf: 'stm32flash',
      pacman: 'stm32flash',
      brew: 'stm32flash',
    },
  },
  {
    name: 'chromium',
    purpose: 'tests of the HTML report',
    probe: {
      command: 'chromium',
      args: ['--version'],
    },
    neededFor: 'test',
    packages: {
      'apt-get': 'chromium',
      dnf: 'chromium',
      pacman: 'chromium',
      brew: 'chromium',
    },
  },
  {
    name: 'socat',
    purpose: 'pseudo-terminals for tests of the flasher',
    probe: {
      command: 'socat',
      args: ['-V'],
    },
    neededFor: 'test',
    packages: {
      'apt-get': 'socat',
      dnf: 'socat',
      pacman: 'socat',
      brew: 'socat',
    },
  },
  {
    name: 'bossac',
    purpose: 'a foreign flasher, for tests of SAM-BA',
    probe: {
      // Its own help ends with exit code 1.
      command: 'sh',
      args: ['-c', 'command -v bossac'],
    },
    neededFor: 'test',
    packages: {
      'apt-get': 'bossa-cli',
      dnf: 'bossa',
      pacman: 'bossa',
      brew: 'bossa',
    },
  },
  {
    name: 'rb',
    purpose: 'a foreign receiver, for tests of YMODEM',
    probe: {
      command: 'rb',
      args: ['--version'],
    },
    neededFor: 'test',
    packages: {
      'apt-get': 'lrzsz',
      dnf: 'lrzsz',
      pacman: 'lrzsz',
      brew: 'lrzsz',
    },
  },
];

/**
 * The first line of what the probe says, or null where it fails.
 * @param {Requirement} requirement
 * @returns {string | null}
 */
export function probe({ probe: { command, args, stdin } }) {
  const { status, stdout } = spawnSync(command, args, {
    input: stdin ?? '',
    encoding: 'utf8',
    timeout: 60_000,
  });
  return status === 0 ? (stdout.split('\n')[0] ?? '') : null;
}

/**
 * The shell command that gets what is missing, or null where this host's package manager is unknown.
 * @param {readonly Requirement[]} missing
 * @returns {string | null}
 */
export function installCommand(missing) {
  /** @type {readonly PackageManager[]} */
  const managers = ['apt-get', 'dnf', 'pacman', 'brew'];
  const manager = managers.find((name) => spawnSync(name, ['--version']).status === 0);
  if (manager === undefined || missing.length === 0) return null;
  const names = missing.flatMap(({ packages }) => packages[manager].split(' '));
  const list = [...new Set(names)].join(' ');
  const isRoot = process.getuid?.() === 0;
  const sudo = isRoot || manager === 'brew' ? '' : 'sudo ';
  switch (manager) {
    case 'apt-get':
      return `${sudo}apt-get update && ${sudo}apt-get install --yes --no-install-recommends ${list}`;
    case 'dnf':
      return `${sudo}dnf install --assumeyes ${list}`;
    case 'pacman':
      return `${sudo}pacman --sync --noconfirm ${list}`;
    case 'brew':
      return `brew install ${list}`;
  }
}
