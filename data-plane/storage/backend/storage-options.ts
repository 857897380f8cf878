/** Where an installation keeps the bytes of objects. */

export interface StorageOptions {
  /** Folder on a local disk: the objects themselves, or what is on its way to an S3 store. */
  readonly directory: string;
  /** Null: objects stay in the folder. */
  readonly s3: S3StoreOptions | null;
}

export interface S3StoreOptions {
  /** Undefined for Amazon's own. */
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}
