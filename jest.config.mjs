// One transform and three heights: unit (*.spec.ts), int (*.int.spec.ts, real PostgreSQL and NATS), e2e (*.e2e.spec.ts, the whole system).
// Servers start in hooks, on machines that may be busy; a limit catches what hangs and judges no speed.
const testTimeout = 60_000;

const shared = {
  testTimeout,
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  modulePathIgnorePatterns: ['<rootDir>/.*/dist/', '<rootDir>/.reef/', '<rootDir>/.nx/'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          target: 'es2024',
          keepClassNames: true,
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  moduleNameMapper: {
    '^@reef/(contracts|messaging|eventing|service|embedded|testing)$': '<rootDir>/libs/$1/src/index.ts',
    '^@reef/eventing/provision$': '<rootDir>/libs/eventing/src/provision.ts',
    '^@reef/contracts/(declare|values)$': '<rootDir>/libs/contracts/src/$1.ts',
    '^@reef/service/process$': '<rootDir>/libs/service/src/process.ts',
    '^@reef/eventing/pure$': '<rootDir>/libs/eventing/src/pure.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
};

export default {
  maxWorkers: 2,
  testTimeout,
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: ['<rootDir>/{apps,libs,test}/**/*.spec.ts'],
      testPathIgnorePatterns: ['/node_modules/', '/dist/', '\\.int\\.spec\\.ts$', '\\.e2e\\.spec\\.ts$'],
    },
    {
      ...shared,
      displayName: 'int',
      testMatch: ['<rootDir>/{apps,libs}/**/*.int.spec.ts'],
      testPathIgnorePatterns: ['/node_modules/', '/dist/'],
      globalSetup: '<rootDir>/libs/testing/jest/start-servers.mjs',
      globalTeardown: '<rootDir>/libs/testing/jest/stop-servers.mjs',
    },
    {
      ...shared,
      displayName: 'e2e',
      testMatch: ['<rootDir>/{apps,libs,test}/**/*.e2e.spec.ts'],
      globalSetup: '<rootDir>/test/jest/start-stack.mjs',
      globalTeardown: '<rootDir>/test/jest/stop-stack.mjs',
      testPathIgnorePatterns: ['/node_modules/', '/dist/'],
    },
  ],
};
