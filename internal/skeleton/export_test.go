package skeleton

const Table = table
