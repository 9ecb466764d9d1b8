// Isolation keys: which jobs share one partition actor (design section 4). The key decides who can hurt whom.

export type ProcessorIsolation = 'none' | 'workspace' | 'source';
export type RouterIsolation = 'none' | 'workspace' | 'destination';

export function processorPartition(mode: ProcessorIsolation, workspaceId: string, sourceId: string): string {
  switch (mode) {
    case 'none':
      return '';
    case 'workspace':
      return workspaceId;
    case 'source':
      return sourceId;
  }
}

export function routerPartition(mode: RouterIsolation, workspaceId: string, destinationId: string): string {
  switch (mode) {
    case 'none':
      return '';
    case 'workspace':
      return workspaceId;
    case 'destination':
      return destinationId;
  }
}
