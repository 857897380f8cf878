/** Keeps a fault of one region from taking the page; a page whose files are gone since an update asks to load anew. */
import { Component, type ReactNode } from "react";
import { Button } from "../ui/button.tsx";
import { EmptyState } from "../ui/state.tsx";

interface Props {
  readonly children: ReactNode;
  /** "the chart": what failed. */
  readonly what: string;
}

export class Boundary extends Component<Props, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return <Fault error={this.state.error} what={this.props.what} onRetry={() => this.setState({ error: null })} />;
  }
}

export function Fault({
  error,
  what,
  onRetry,
}: {
  readonly error: unknown;
  readonly what: string;
  readonly onRetry: () => void;
}) {
  const isOutdated = error instanceof TypeError && /import|module/i.test(error.message);
  if (isOutdated) {
    return (
      <EmptyState title="A new version is ready" actions={<Button onPress={() => location.reload()}>Reload</Button>}>
        This page belongs to a version that is no longer served. What you have typed is kept.
      </EmptyState>
    );
  }
  return (
    <EmptyState title={`Something failed in ${what}`} actions={<Button onPress={onRetry}>Try again</Button>}>
      {error instanceof Error ? error.message : "There is nothing more to say about it."}
    </EmptyState>
  );
}
