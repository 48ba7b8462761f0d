import type { ToolSpec } from './engine.js';

const path = (what: string) => ({ type: 'string', description: what });

/** The tools of the native engine: files through the workspace service, memory through the memory service. */
export const nativeTools: readonly ToolSpec[] = [
  {
    name: 'read_file',
    description: 'Read a text file of your workspace.',
    inputSchema: {
      type: 'object',
      properties: { path: path('Relative to the workspace, such as notes/plan.md') },
      required: ['path'],
      additionalProperties: false,
    },
  },
  {
    name: 'write_file',
    description: 'Create a text file in your workspace, or replace all of it.',
    inputSchema: {
      type: 'object',
      properties: {
        path: path('Relative to the workspace'),
        content: { type: 'string', description: 'The whole text' },
      },
      required: ['path', 'content'],
      additionalProperties: false,
    },
  },
  {
    name: 'list_files',
    description: 'List the files of your workspace.',
    inputSchema: {
      type: 'object',
      properties: { path: path('A folder; all files when left out') },
      additionalProperties: false,
    },
  },
  {
    name: 'memory_search',
    description: 'Search what you remember about the person you are talking with and about shared matters.',
    inputSchema: {
      type: 'object',
      properties: { query: { type: 'string', description: 'What to look for, in a few words' } },
      required: ['query'],
      additionalProperties: false,
    },
  },
  {
    name: 'remember',
    description: 'Keep one lasting fact or preference for later conversations. Not for passwords or keys.',
    inputSchema: {
      type: 'object',
      properties: { text: { type: 'string', description: 'One self-contained sentence, at most 4,000 characters' } },
      required: ['text'],
      additionalProperties: false,
    },
  },
];
