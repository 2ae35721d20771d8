import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['**/dist/', '**/build/', '**/node_modules/', '**/*.mjs', 'client/src/openapi.ts'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // A Nest module is a class without a body.
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
    },
  },
  // Its packages are installed by whoever tries it, and by the end-to-end tests: tsc checks its types there.
  { files: ['**/examples/**'], ...tseslint.configs.disableTypeChecked },
  {
    files: ['**/test/**'],
    rules: {
      // Nest's options are classes that everybody fills with literals.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // node:test reports what its functions' promises become.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            {
              from: 'package',
              package: 'node:test',
              name: ['test', 'suite', 'before', 'after', 'beforeEach', 'afterEach'],
            },
          ],
        },
      ],
    },
  },
);
