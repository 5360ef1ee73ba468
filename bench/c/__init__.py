"""The C that cgru writes, against RTNeural and against cgru's own kernel."""
