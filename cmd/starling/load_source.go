package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// document is one JSON text: a file, a line of an NDJSON file, a member of an
// archive.
type document struct {
	file string // as found; for a member of an archive "archive.tar:member"
	line int    // of an NDJSON file, from 1; 0 elsewhere
	data []byte
}

// sourceFile is a file to load.
type sourceFile struct {
	path string
	size int64
	read *atomic.Int64 // bytes read so far, as they are on disk
}

// findFiles returns the files that paths name, each once, in the order of paths
// and then of names, and how many were passed over in folders because load does
// not read their kind.
func findFiles(paths []string) (files []sourceFile, skipped int64, err error) {
	seen := map[string]bool{}
	add := func(name string) {
		if clean := filepath.Clean(name); !seen[clean] {
			seen[clean] = true
			files = append(files, sourceFile{path: name, size: fileSize(name), read: new(atomic.Int64)})
		}
	}
	for _, given := range paths {
		names := []string{given}
		if _, err := os.Stat(given); err != nil {
			matches, globErr := filepath.Glob(given)
			if globErr != nil {
				return nil, 0, fmt.Errorf("%s: %w", given, globErr)
			}
			if len(matches) == 0 {
				return nil, 0, err
			}
			names = matches
		}
		for _, name := range names {
			info, err := os.Stat(name)
			switch {
			case err != nil:
				return nil, 0, err
			case !info.IsDir() && kindOf(name) == otherKind:
				return nil, 0, fmt.Errorf("%s: load does not read this kind of file (starling help load lists what it reads)", name)
			case !info.IsDir():
				add(name)
				continue
			}
			err = filepath.WalkDir(name, func(below string, entry fs.DirEntry, err error) error {
				hidden := strings.HasPrefix(entry.Name(), ".") && below != name
				switch {
				case err != nil:
					return err
				case entry.IsDir() && hidden:
					return fs.SkipDir
				case entry.IsDir():
				case hidden || kindOf(below) == otherKind || !entry.Type().IsRegular() && entry.Type() != fs.ModeSymlink:
					// A pipe would be waited for until somebody writes.
					skipped++
				default:
					add(below)
				}
				return nil
			})
			if err != nil {
				return nil, 0, err
			}
		}
	}
	return files, skipped, nil
}

// fileKind is what a file's name says it holds.
type fileKind int

const (
	otherKind  fileKind = iota
	jsonKind            // one JSON document
	ndjsonKind          // one a line
	tarKind
)

// kindOf reads a file's kind from its name, whatever it is packed with.
func kindOf(name string) fileKind {
	name = strings.ToLower(name)
	for _, packed := range []string{".gz", ".bz2", ".zst"} {
		name = strings.TrimSuffix(name, packed)
	}
	switch filepath.Ext(name) {
	case ".json":
		return jsonKind
	case ".ndjson", ".jsonl":
		return ndjsonKind
	case ".tar", ".tgz", ".tzst", ".tbz2":
		return tarKind
	}
	return otherKind
}

// unpack undoes the compression that a file's name tells.
func unpack(name string, in io.Reader) (io.ReadCloser, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".gz", ".tgz":
		return gzip.NewReader(in)
	case ".bz2", ".tbz2":
		return io.NopCloser(bzip2.NewReader(in)), nil
	case ".zst", ".tzst":
		// 128 MiB is the window of `zstd --long=27`, the most that plain zstd
		// unpacks without being asked to.
		decoder, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return decoder.IOReadCloser(), nil
	}
	return io.NopCloser(in), nil
}

// documents calls yield with each document of the file, in its order: with
// first those that others refer to (see sortFirst), else all others. It stops
// at an error of yield. What is wrong with one document is reported, and the
// rest is read.
func (f sourceFile) documents(maxSize int64, first bool, report *report, yield func(document) error) error {
	kind := kindOf(f.path)
	if kind != tarKind && sortFirst(filepath.Base(f.path)) != first {
		return nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	var raw io.Reader = file
	if kind != tarKind || !first {
		raw = countingReader{file, f.read}
	}
	in, err := unpack(f.path, bufio.NewReaderSize(raw, 1<<18))
	if err != nil {
		return fmt.Errorf("cannot be unpacked: %w", err)
	}
	defer in.Close()
	reader := documentReader{maxSize: maxSize, report: report, yield: yield}
	if kind != tarKind {
		report.file(1)
		return reader.member(f.path, kind, f.size, in)
	}
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot be unpacked: %w", err)
		}
		base, kind := path.Base(header.Name), kindOf(header.Name)
		wanted := header.Typeflag == tar.TypeReg && kind != otherKind && kind != tarKind && !strings.HasPrefix(base, ".")
		if !wanted || sortFirst(base) != first {
			continue
		}
		name := f.path + ":" + header.Name
		member, err := unpack(header.Name, archive)
		if err != nil {
			report.reject(rejection{File: name, Reason: "cannot be unpacked: " + err.Error()})
			continue
		}
		report.file(1)
		err = reader.member(name, kind, header.Size, member)
		member.Close()
		if err != nil {
			return err
		}
	}
}

// documentReader cuts files into documents.
type documentReader struct {
	maxSize int64
	report  *report
	yield   func(document) error
}

// member reads one file or one member of an archive; size is a hint.
func (r documentReader) member(name string, kind fileKind, size int64, in io.Reader) error {
	if kind == ndjsonKind {
		return r.lines(name, in)
	}
	var data bytes.Buffer
	data.Grow(int(min(size, r.maxSize)) + bytes.MinRead)
	n, err := io.Copy(&data, io.LimitReader(in, r.maxSize+1))
	switch {
	case err != nil:
		r.report.reject(rejection{File: name, Reason: "cannot be read: " + err.Error()})
		return nil
	case n > r.maxSize:
		r.report.reject(rejection{File: name, Reason: fmt.Sprintf("is larger than --max-size %s", byteSize(r.maxSize))})
		return nil
	}
	return r.yield(document{file: name, data: bytes.TrimPrefix(data.Bytes(), byteOrderMark())})
}

// lines reads NDJSON, http://ndjson.org. Empty lines are passed over.
func (r documentReader) lines(name string, in io.Reader) error {
	reader := bufio.NewReaderSize(in, 1<<16)
	for line := 1; ; line++ {
		data, tooLong, err := readLine(reader, r.maxSize)
		if line == 1 {
			data = bytes.TrimPrefix(data, byteOrderMark())
		}
		data = bytes.TrimSpace(data)
		switch {
		case tooLong:
			r.report.reject(rejection{File: name, Line: line, Reason: fmt.Sprintf("is longer than --max-size %s", byteSize(r.maxSize))})
		case len(data) > 0 && (err == nil || errors.Is(err, io.EOF)):
			if err := r.yield(document{file: name, line: line, data: data}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			r.report.reject(rejection{File: name, Line: line, Reason: "cannot be read: " + err.Error()})
			return nil
		}
	}
}

// readLine reads up to the end of a line. Of a line longer than most it keeps
// nothing but reads it all.
func readLine(reader *bufio.Reader, most int64) (line []byte, tooLong bool, err error) {
	for {
		part, err := reader.ReadSlice('\n')
		switch {
		case tooLong:
		case int64(len(line)+len(part)) > most:
			line, tooLong = nil, true
		default:
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

// byteOrderMark is what some Windows programs put before UTF-8 text.
func byteOrderMark() []byte { return []byte("\xef\xbb\xbf") }

// countingReader counts what is read through it.
type countingReader struct {
	io.Reader
	n *atomic.Int64
}

func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n.Add(int64(n))
	return n, err
}
