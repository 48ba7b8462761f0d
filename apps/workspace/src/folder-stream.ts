import { workspace } from '@reef/contracts';
import { aggregate } from '@reef/eventing';
import { folder } from './domain/folder.js';
import { files, folders } from './projections/files.js';

/** One stream per agent's folder. */
export const folderStream = aggregate({
  name: 'folder',
  decider: folder,
  events: {
    WorkspaceOpened: workspace.events.WorkspaceOpened,
    FileWritten: workspace.events.FileWritten,
    FileDeleted: workspace.events.FileDeleted,
    WorkspaceImported: workspace.events.WorkspaceImported,
    ToolRun: workspace.events.ToolRun,
  },
  projections: [files, folders],
  snapshotEvery: 200,
});

export const streamOf = (agent: string): string => `folder/${agent}`;
