// Parquet files: which columns they have, and some of them as rows. The reading itself is hyparquet's, unpacking zstd fzstd's.
import { reader } from "./hyparquet.js";

const MOST_ROWS = 2e6, MOST_UNPACKED = 64 * 2 ** 20, MOST_PAGE = 64 * 2 ** 20;

function unpacking(unpack) {
  return (input, length) => {
    if (length > MOST_PAGE) throw new Error("it has a page of more than 64 MiB");
    return unpack(input, length);
  };
}

const compressors = {
  SNAPPY: unpacking((input, length) => {
    const out = new Uint8Array(length);
    reader.snappyUncompress(input, out);
    return out;
  }),
  ZSTD: unpacking((input, length) => reader.decompress(input, new Uint8Array(length))),
};

/**
 * A Parquet file that is open: {names, about, count, rows}: the names of its columns, the text that the file carries under "ncp", how many
 * rows it has, and `await rows(columns, most)`, at most so many rows as lists of the columns' values. Throws an Error that says what is wrong.
 */
export function openParquet(buffer, label) {
  const failed = (error) => new Error(`${label} is no Parquet file that can be read here: ${error.message}`);
  let metadata;
  try {
    metadata = reader.parquetMetadata(buffer);
  } catch (error) {
    throw failed(error);
  }
  const chunks = metadata.row_groups.flatMap((group) => group.columns.map((column) => column.meta_data));
  const about = metadata.key_value_metadata?.find(({ key }) => key === "ncp")?.value ?? "";
  const names = reader.parquetSchema(metadata).children.filter((child) => !child.children.length).map((child) => child.element.name);
  const rows = async (columns, most) => {
    const used = chunks.filter((chunk) => columns.includes(chunk.path_in_schema[0]));
    const codec = used.map((chunk) => chunk.codec).find((name) => name !== "UNCOMPRESSED" && !(name in compressors));
    if (codec) throw new Error(`${label} is packed with ${codec}; read are zstd and snappy, or export it as CSV`);
    const unpacked = used.reduce((sum, chunk) => sum + Number(chunk.total_uncompressed_size), 0);
    if (Number(metadata.num_rows) > MOST_ROWS || unpacked > MOST_UNPACKED) throw new Error(`${label} is too large a table to be shown`);
    try {
      const options = { file: buffer, metadata, columns, rowStart: 0, rowEnd: Math.min(most, Number(metadata.num_rows)), compressors };
      return (await reader.parquetReadObjects(options)).map((row) => columns.map((name) => row[name]));
    } catch (error) {
      throw failed(error);
    }
  };
  return { names, about, rows, count: Number(metadata.num_rows) };
}
